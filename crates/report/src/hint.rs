//! [`next_step`]: what to do about a failure, where the one who reported it did not say.

use sync::{Class, Failure, Side};

/// What a person does next.
pub fn next_step(failure: &Failure) -> &str {
    if let Some(hint) = &failure.hint {
        return hint;
    }
    match (failure.class, failure.side) {
        (Class::Credentials, _) => "log in there (`docker login HOST`), or check what is set",
        (Class::Denied, Side::Source) => "ask for the right to pull it, or log in as one who may",
        (Class::Denied, Side::Target) => {
            "ask for the right to push there, or log in as one who may; see whether it is read-only"
        }
        (Class::NotFound, _) => "check the spelling; private repositories often answer so",
        (Class::RateLimited, _) => "run again later; limits are higher for those who log in",
        (Class::Network, _) => "check that the host is right and can be reached from here",
        (Class::Tls, _) => "check the certificate; a private CA is named under `registries`, `ca`",
        (Class::Server, _) => "run again later; what is done is not done twice",
        (Class::Content, _) => {
            "something changes what passes through it: a proxy, a mirror, a disk"
        }
        (Class::Storage, _) => "check that the folder can be written to and has room",
        (Class::Selection, _) => "`image-syncer tags` says which rule keeps or drops each tag",
        (Class::Signature, _) => {
            "see who signed it (`cosign tree`), and whose signature is trusted"
        }
        (Class::KeyDenied, _) => {
            "ask for the right to use the key, or check the credentials for it"
        }
        (Class::Key, _) => "check how the key is named, and that its service can be reached",
        (Class::NotLocked, _) => "`image-syncer lock` adds it",
        (Class::NotPlanned, _) => "make a new plan",
        (Class::Interrupted | Class::Deadline, _) => "run again: what is done is not done twice",
        (Class::Rejected | Class::Unsupported | Class::Protocol, _) => {
            "`--debug` shows what was asked and answered"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::failure;

    #[test]
    fn what_was_said_goes_before_what_is_usual() {
        let mut failure = failure(Side::Target, Class::Denied);
        assert_eq!(next_step(&failure), "run again later");
        failure.hint = None;
        assert!(next_step(&failure).starts_with("ask for the right to push there"));
    }
}

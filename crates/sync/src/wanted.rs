//! [`Wanted`]: one tag that the target is to have.

use std::fmt;

use oci::{Digest, Source, Target};

/// One wanted item: this source, under that tag.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// Where the content comes from.
    pub source: Source,
    /// The source as its author wrote it; target names depend on the spelling.
    pub written: String,
    /// The tag that is to hold it.
    pub target: Target,
    /// The place in a sync file that asked for it; none for a single copy.
    pub origin: Option<Origin>,
}

/// A place in a sync file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// The file as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

impl Wanted {
    /// The source text that pins `digest`, to be written in place of what is there now.
    pub fn pinned_to(&self, digest: Digest) -> String {
        let name = self.written.split('@').next().unwrap_or_default();
        format!("{name}@{digest}")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    use oci::Reference;

    use super::*;

    #[test]
    fn a_pin_keeps_the_spelling() {
        let digest = Digest::sha256(b"there");
        let old = Digest::sha256(b"old");
        let table = [
            ("nginx:1.27".to_owned(), format!("nginx:1.27@{digest}")),
            (format!("nginx:1.27@{old}"), format!("nginx:1.27@{digest}")),
            (format!("busybox@{old}"), format!("busybox@{digest}")),
        ];
        for (written, expected) in table {
            let reference: Reference = written.parse().unwrap();
            let wanted = Wanted {
                source: reference.try_into().unwrap(),
                written,
                target: "a.io/b:1".parse::<Reference>().unwrap().try_into().unwrap(),
                origin: None,
            };
            assert_eq!(wanted.pinned_to(digest), expected);
        }
    }
}

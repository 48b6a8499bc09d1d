//! Whether this machine is one of Google's, found out without asking anybody.

use std::path::Path;

use crate::variables::Variables;

/// What the firmware of a virtual machine says it is.
const PRODUCT: &str = "/sys/class/dmi/id/product_name";

/// Whether a metadata server may be expected: on Compute Engine, and what is built on it, by the machine's
/// name (<https://cloud.google.com/compute/docs/instances/detect-compute-engine>); in Cloud Run by its
/// variables (<https://cloud.google.com/run/docs/container-contract#env-vars>).
pub(crate) fn is_here(variables: &Variables) -> bool {
    let is_run = ["K_SERVICE", "CLOUD_RUN_JOB"].iter().any(|name| variables.text(name).is_some());
    is_run || says_google(Path::new(PRODUCT))
}

fn says_google(file: &Path) -> bool {
    std::fs::read_to_string(file).is_ok_and(|name| name.trim().starts_with("Google"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("product_name");
        for (name, expected) in
            [("Google Compute Engine\n", true), ("Google", true), ("KVM\n", false), ("", false)]
        {
            std::fs::write(&file, name).unwrap();
            assert_eq!(says_google(&file), expected, "{name}");
        }
        assert!(!says_google(&folder.path().join("none")));
        let run = Variables::from_lookup(|name| (name == "K_SERVICE").then(|| "service".into()));
        assert!(is_here(&run));
    }
}

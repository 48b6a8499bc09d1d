//! Whether this machine is one of Azure's, found out without asking anybody.

use std::path::Path;

/// What the firmware of a virtual machine says it is.
const ASSET_TAG: &str = "/sys/class/dmi/id/chassis_asset_tag";
/// What it says on every machine of Azure, as cloud-init and systemd look for it
/// (systemd `src/basic/virt.c`, cloud-init `sources/azure/identity.py`).
const AZURE: &str = "7783-7084-3265-9085-8269-3286-77";

/// Whether the metadata service may be expected.
pub(crate) fn is_here() -> bool {
    says_azure(Path::new(ASSET_TAG))
}

fn says_azure(file: &Path) -> bool {
    std::fs::read_to_string(file).is_ok_and(|tag| tag.trim() == AZURE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chassis_asset_tag");
        for (tag, expected) in
            [("7783-7084-3265-9085-8269-3286-77\n", true), ("No Asset Tag\n", false)]
        {
            std::fs::write(&file, tag).unwrap();
            assert_eq!(says_azure(&file), expected, "{tag}");
        }
        assert!(!says_azure(&folder.path().join("none")));
    }
}

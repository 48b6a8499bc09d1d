//! [`Platform`]: what a manifest in an index runs on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::InvalidName;

/// A platform as the image index spec writes it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Platform {
    /// Operating system, such as `linux`.
    pub os: String,
    /// CPU architecture as Go names it, such as `amd64`.
    pub architecture: String,
    /// CPU variant, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Version of the operating system (Windows images).
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features the operating system must have (Windows images).
    #[serde(default, rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
}

impl Platform {
    /// The platform that an image's configuration says; none where it says none, as that of an
    /// artifact.
    pub fn of_config(config: &[u8]) -> Option<Self> {
        serde_json::from_slice::<Self>(config).ok().filter(Self::is_said)
    }

    /// Whether it names anything: some tools write a platform of empty texts for none.
    pub(crate) fn is_said(&self) -> bool {
        !(self.os.is_empty() && self.architecture.is_empty())
    }

    /// The same platform by its usual name, so that `linux/aarch64/v8` and `linux/arm64` are one.
    /// The names are those of containerd (`normalizeArch` of containerd/platforms), by which
    /// clients choose what they pull.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let (os, architecture) = (self.os.to_lowercase(), self.architecture.to_lowercase());
        let variant = self.variant.as_deref().unwrap_or_default().to_lowercase();
        let os = if os == "macos" { "darwin".to_owned() } else { os };
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("i386", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64" | "amd64", other) => ("amd64", other),
            ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
            ("aarch64" | "arm64", other) => ("arm64", other),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "8") => ("arm", "v8"),
            (other, variant) => (other, variant),
        };
        Self {
            os,
            architecture: architecture.to_owned(),
            variant: (!variant.is_empty()).then(|| variant.to_owned()),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
        }
    }

    /// Whether both are the same operating system, architecture and variant, by whatever names.
    /// Versions and features of the operating system are not looked at.
    pub fn is_for(&self, other: &Self) -> bool {
        let (one, two) = (self.normalized(), other.normalized());
        one.os == two.os && one.architecture == two.architecture && one.variant == two.variant
    }
}

impl FromStr for Platform {
    type Err = InvalidName;

    fn from_str(input: &str) -> Result<Self, InvalidName> {
        let good = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        };
        let parts: Vec<&str> = input.split('/').collect();
        match parts.as_slice() {
            [os, architecture, variant @ ..] if variant.len() < 2 && parts.iter().all(good) => {
                Ok(Self {
                    os: (*os).to_owned(),
                    architecture: (*architecture).to_owned(),
                    variant: variant.first().map(|variant| (*variant).to_owned()),
                    os_version: None,
                    os_features: Vec::new(),
                })
            }
            _ => Err(InvalidName::new(
                "platform",
                input,
                "it is written os/architecture or os/architecture/variant, such as `linux/amd64`",
            )),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_there_and_back() {
        for text in ["linux/amd64", "linux/arm64/v8", "windows/amd64"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        for bad in ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "Linux/amd64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_platform_has_one_usual_name() {
        let table = [
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/i386", "linux/386"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v9", "linux/arm64/v9"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armel", "linux/arm/v6"),
            ("macos/arm64", "darwin/arm64"),
            ("linux/s390x", "linux/s390x"),
        ];
        for (text, usual) in table {
            let platform: Platform = text.parse().unwrap();
            assert_eq!(platform.normalized().to_string(), usual, "{text}");
            assert!(platform.is_for(&usual.parse().unwrap()), "{text}");
        }
        let [six, seven] = ["linux/arm/v6", "linux/arm/v7"].map(|text| text.parse().unwrap());
        assert!(!Platform::is_for(&six, &seven), "a variant is not taken for a lower one");
    }

    #[test]
    fn a_config_says_its_platform_or_none() {
        let config = br#"{"os":"linux","architecture":"arm","variant":"v6","rootfs":{}}"#;
        assert_eq!(Platform::of_config(config).unwrap().to_string(), "linux/arm/v6");
        for none in ["{}", "[]", "", r#"{"name":"chart"}"#, r#"{"os":"","architecture":""}"#] {
            assert_eq!(Platform::of_config(none.as_bytes()), None, "{none}");
        }
    }
}

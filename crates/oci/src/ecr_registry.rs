//! [`EcrRegistry`]: a private registry of Amazon ECR, which is an account in a region.

use crate::{Host, InvalidName};

/// A private registry of Amazon ECR.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EcrRegistry {
    account: String,
    region: String,
    endpoint: Endpoint,
}

/// Which of a registry's names is meant; the content behind them is one.
/// <https://docs.aws.amazon.com/general/latest/gr/ecr.html>
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Endpoint {
    is_fips: bool,
    is_dual_stack: bool,
}

impl EcrRegistry {
    /// The registry of an account, 12 digits, in a region such as `us-gov-west-1`.
    ///
    /// # Errors
    /// [`InvalidName`] where either is written in another way.
    pub fn new(account: &str, region: &str) -> Result<Self, InvalidName> {
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            let problem = "it must be 12 digits; leading zeros belong to it".to_owned();
            return Err(InvalidName::new("AWS account", account, problem));
        }
        if !is_region(region) {
            let problem = "it must be written as `us-east-1` or `us-gov-west-1`".to_owned();
            return Err(InvalidName::new("AWS region", region, problem));
        }
        let endpoint = Endpoint { is_fips: false, is_dual_stack: false };
        Ok(Self { account: account.to_owned(), region: region.to_owned(), endpoint })
    }

    /// The registry that a host is; none if it is no private registry of ECR.
    pub fn of_host(host: &Host) -> Option<Self> {
        let (account, rest) = host.as_str().split_once('.')?;
        let (endpoint, rest) = [
            ("dkr.ecr.", false, false),
            ("dkr.ecr-fips.", true, false),
            ("dkr-ecr.", false, true),
            ("dkr-ecr-fips.", true, true),
        ]
        .into_iter()
        .find_map(|(service, is_fips, is_dual_stack)| {
            Some((Endpoint { is_fips, is_dual_stack }, rest.strip_prefix(service)?))
        })?;
        let (region, suffix) = rest.split_once('.')?;
        let registry = Self { endpoint, ..Self::new(account, region).ok()? };
        (registry.suffix() == suffix).then_some(registry)
    }

    /// The same registry behind the endpoint whose cryptography is validated to FIPS 140.
    #[must_use]
    pub fn fips(self) -> Self {
        Self { endpoint: Endpoint { is_fips: true, ..self.endpoint }, ..self }
    }

    /// The account, 12 digits.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Whether the name is that of a FIPS endpoint.
    pub fn is_fips(&self) -> bool {
        self.endpoint.is_fips
    }

    /// What ARNs of this registry begin with, as in `arn:aws-us-gov:`.
    pub fn partition(&self) -> &'static str {
        self.partition_and_suffixes().0
    }

    /// The registry's name in references.
    pub fn host(&self) -> Host {
        let service = match (self.endpoint.is_dual_stack, self.endpoint.is_fips) {
            (false, false) => "dkr.ecr",
            (false, true) => "dkr.ecr-fips",
            (true, false) => "dkr-ecr",
            (true, true) => "dkr-ecr-fips",
        };
        let (account, region) = (&self.account, &self.region);
        Host::trusted(format!("{account}.{service}.{region}.{}", self.suffix()))
    }

    fn suffix(&self) -> &'static str {
        let (_, suffix, dual_stack) = self.partition_and_suffixes();
        if self.endpoint.is_dual_stack { dual_stack } else { suffix }
    }

    /// The partition of the region, with the domains of its endpoints: usual and dual-stack.
    /// <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>,
    /// the suffixes as in the AWS SDKs' `partitions.json`.
    fn partition_and_suffixes(&self) -> (&'static str, &'static str, &'static str) {
        let region = self.region.as_str();
        let table = [
            ("cn-", ("aws-cn", "amazonaws.com.cn", "on.amazonwebservices.com.cn")),
            ("us-gov-", ("aws-us-gov", "amazonaws.com", "on.aws")),
            ("us-isob-", ("aws-iso-b", "sc2s.sgov.gov", "sc2s.sgov.gov")),
            ("us-isof-", ("aws-iso-f", "csp.hci.ic.gov", "csp.hci.ic.gov")),
            ("eu-isoe-", ("aws-iso-e", "cloud.adc-e.uk", "cloud.adc-e.uk")),
            ("us-iso-", ("aws-iso", "c2s.ic.gov", "c2s.ic.gov")),
            ("eusc-", ("aws-eusc", "amazonaws.eu", "on.amazonwebservices.eu")),
        ];
        let found = table.into_iter().find(|(prefix, _)| region.starts_with(prefix));
        found.map_or(("aws", "amazonaws.com", "on.aws"), |(_, names)| names)
    }
}

/// Letters, more words, and a number: `ap-southeast-2`.
fn is_region(text: &str) -> bool {
    let mut words = text.split('-');
    let number = words.next_back().unwrap_or_default();
    let words: Vec<&str> = words.collect();
    let is_word =
        |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
    words.len() >= 2
        && text.len() <= 25
        && words.iter().all(is_word)
        && (1..=2).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_has_the_name_of_its_partition() {
        let table = [
            ("us-east-1", "aws", "123456789012.dkr.ecr.us-east-1.amazonaws.com"),
            ("us-gov-west-1", "aws-us-gov", "123456789012.dkr.ecr.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "aws-cn", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"),
            ("us-iso-east-1", "aws-iso", "123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov"),
        ];
        for (region, partition, host) in table {
            let registry = EcrRegistry::new("123456789012", region).unwrap();
            assert_eq!(registry.partition(), partition);
            assert_eq!(registry.host().as_str(), host);
            assert_eq!(EcrRegistry::of_host(&host.parse().unwrap()), Some(registry));
        }
        let fips = EcrRegistry::new("123456789012", "us-gov-west-1").unwrap().fips();
        assert_eq!(fips.host().as_str(), "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com");
    }

    #[test]
    fn every_name_of_a_registry_is_known_and_no_other() {
        let known = [
            "000000000001.dkr.ecr.eu-central-1.amazonaws.com",
            "123456789012.dkr.ecr-fips.us-east-2.amazonaws.com",
            "123456789012.dkr-ecr.eu-central-1.on.aws",
            "123456789012.dkr-ecr-fips.us-gov-east-1.on.aws",
            "123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
        ];
        for host in known {
            let host: Host = host.parse().unwrap();
            let found = EcrRegistry::of_host(&host).map(|registry| registry.host());
            assert_eq!(found, Some(host));
        }
        let others = [
            "public.ecr.aws",
            "docker.io",
            "12345.dkr.ecr.us-east-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example",
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com:443",
            "123456789012.dkr.ecr.useast.amazonaws.com",
        ];
        for host in others {
            assert_eq!(EcrRegistry::of_host(&host.parse().unwrap()), None, "{host}");
        }
    }

    #[test]
    fn what_is_no_account_or_region_is_told() {
        let error = EcrRegistry::new("12345", "us-east-1").unwrap_err().to_string();
        assert!(
            error.contains("`12345` is not an AWS account") && error.contains("12 digits"),
            "{error}"
        );
        for region in ["", "us", "us-east", "US-EAST-1", "us-east-1a", "us--1", "x.y-z-1"] {
            let error = EcrRegistry::new("123456789012", region).unwrap_err().to_string();
            assert!(error.contains("us-east-1"), "{error}");
        }
    }
}

//! [`Environment`]: the variables that the program knows, all of them named here.
//!
//! An empty variable counts as not set, as it did for kyma's image-syncer. One that does not parse
//! is an error that names it: a dry run that was asked for with a typo must never become a real one.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::error::CliError;

/// A variable that stands in for a flag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Variable {
    /// The flag, without its dashes.
    pub(crate) flag: &'static str,
    /// Its name.
    pub(crate) name: &'static str,
    /// The name that ecr-sync had for it; the other goes first.
    pub(crate) old_name: Option<&'static str>,
}

const fn variable(flag: &'static str, name: &'static str) -> Variable {
    Variable { flag, name, old_name: None }
}

impl Variable {
    const fn or(self, old_name: &'static str) -> Self {
        Self { old_name: Some(old_name), ..self }
    }
}

pub(crate) const IMAGES_FILE: Variable = variable("images-file", "SYNCER_IMAGES_FILE");
pub(crate) const TARGET_REPO_PREFIX: Variable =
    variable("target-repo-prefix", "SYNCER_TARGET_REPO_PREFIX");
pub(crate) const TARGET_REPO_AUTH_KEY: Variable =
    variable("target-repo-auth-key", "SYNCER_TARGET_REPO_AUTH_KEY");
pub(crate) const ACCESS_TOKEN: Variable = variable("access-token", "SYNCER_ACCESS_TOKEN");
pub(crate) const KMS_KEY: Variable = variable("kms-key", "SYNCER_KMS_KEY");
pub(crate) const FORMER_KEY: Variable = variable("former-key", "SYNCER_FORMER_KEY");
pub(crate) const SIGN: Variable = variable("sign", "SYNCER_SIGN");
pub(crate) const SIGNATURE_FORMAT: Variable =
    variable("signature-format", "SYNCER_SIGNATURE_FORMAT");
pub(crate) const SIGN_RECURSIVELY: Variable =
    variable("sign-recursively", "SYNCER_SIGN_RECURSIVELY");
pub(crate) const ATTEST: Variable = variable("attest", "SYNCER_ATTEST");
pub(crate) const REKOR_URL: Variable = variable("rekor-url", "SYNCER_REKOR_URL");
pub(crate) const REKOR_KEY: Variable = variable("rekor-key", "SYNCER_REKOR_KEY");
pub(crate) const KEY: Variable = variable("key", "SYNCER_KEY");
pub(crate) const TRUSTED_ROOT: Variable = variable("trusted-root", "SYNCER_TRUSTED_ROOT");
pub(crate) const CERTIFICATE_IDENTITY: Variable =
    variable("certificate-identity", "SYNCER_CERTIFICATE_IDENTITY");
pub(crate) const CERTIFICATE_IDENTITY_REGEXP: Variable =
    variable("certificate-identity-regexp", "SYNCER_CERTIFICATE_IDENTITY_REGEXP");
pub(crate) const CERTIFICATE_OIDC_ISSUER: Variable =
    variable("certificate-oidc-issuer", "SYNCER_CERTIFICATE_OIDC_ISSUER");
pub(crate) const CERTIFICATE_OIDC_ISSUER_REGEXP: Variable =
    variable("certificate-oidc-issuer-regexp", "SYNCER_CERTIFICATE_OIDC_ISSUER_REGEXP");
pub(crate) const ATTESTATION: Variable = variable("attestation", "SYNCER_ATTESTATION");
pub(crate) const CONFIG: Variable = variable("config", "SYNCER_CONFIG").or("REPOSITORIES_DIR");
pub(crate) const SHARD: Variable = variable("shard", "SYNCER_SHARD");
pub(crate) const ECR_ACCOUNT_ID: Variable =
    variable("ecr-account-id", "SYNCER_ECR_ACCOUNT_ID").or("ECR_ACCOUNT_ID");
pub(crate) const ECR_REGION: Variable =
    variable("ecr-region", "SYNCER_ECR_REGION").or("ECR_REGION");
pub(crate) const DEFAULT_LIFECYCLE_POLICY_FILE: Variable =
    variable("default-lifecycle-policy-file", "SYNCER_DEFAULT_LIFECYCLE_POLICY_FILE")
        .or("DEFAULT_LIFECYCLE_POLICY_FILE");
pub(crate) const DEFAULT_PERMISSION_POLICY_FILE: Variable =
    variable("default-permission-policy-file", "SYNCER_DEFAULT_PERMISSION_POLICY_FILE")
        .or("DEFAULT_PERMISSION_POLICY_FILE");
pub(crate) const DEFAULT_RESOURCE_TAGS_FILE: Variable =
    variable("default-resource-tags-file", "SYNCER_DEFAULT_RESOURCE_TAGS_FILE")
        .or("DEFAULT_RESOURCE_TAGS_FILE");
pub(crate) const PRUNE_POLICIES: Variable = variable("prune-policies", "SYNCER_PRUNE_POLICIES");
pub(crate) const DRY_RUN: Variable = variable("dry-run", "SYNCER_DRY_RUN").or("DRY_RUN");
pub(crate) const PLAN_FILE: Variable = variable("plan-file", "SYNCER_PLAN_FILE");
pub(crate) const LOCK_FILE: Variable = variable("lock-file", "SYNCER_LOCK_FILE");
pub(crate) const NO_LOCK: Variable = variable("no-lock", "SYNCER_NO_LOCK");
pub(crate) const UPDATE: Variable = variable("update", "SYNCER_UPDATE");
pub(crate) const CHECK: Variable = variable("check", "SYNCER_CHECK");
pub(crate) const EXIT_CODE: Variable = variable("exit-code", "SYNCER_EXIT_CODE");
pub(crate) const PLATFORM: Variable = variable("platform", "SYNCER_PLATFORM");
pub(crate) const CONCURRENCY: Variable =
    variable("concurrency", "SYNCER_CONCURRENCY").or("MAX_PARALLEL_OPERATIONS");
pub(crate) const DEADLINE: Variable = variable("deadline", "SYNCER_DEADLINE");
pub(crate) const FAIL_FAST: Variable = variable("fail-fast", "SYNCER_FAIL_FAST");
pub(crate) const FOREIGN_LAYERS: Variable = variable("foreign-layers", "SYNCER_FOREIGN_LAYERS");
pub(crate) const SOURCE_LOST: Variable = variable("source-lost", "SYNCER_SOURCE_LOST");
pub(crate) const REFERRERS: Variable = variable("referrers", "SYNCER_REFERRERS");
pub(crate) const REFERRERS_REQUIRED: Variable =
    variable("referrers-required", "SYNCER_REFERRERS_REQUIRED");
pub(crate) const LATE_REFERRERS: Variable = variable("late-referrers", "SYNCER_LATE_REFERRERS");
pub(crate) const OUTPUT: Variable = variable("output", "SYNCER_OUTPUT");
pub(crate) const REPORT: Variable = variable("report", "SYNCER_REPORT");
pub(crate) const GITHUB: Variable = variable("github", "SYNCER_GITHUB");
pub(crate) const AUDIT_LOG: Variable = variable("audit-log", "SYNCER_AUDIT_LOG");
pub(crate) const AUDIT_KEY: Variable = variable("audit-key", "SYNCER_AUDIT_KEY");
pub(crate) const AUDIT_PUSH: Variable = variable("audit-push", "SYNCER_AUDIT_PUSH");
pub(crate) const HEAD: Variable = variable("head", "SYNCER_HEAD");
pub(crate) const PREVIOUS: Variable = variable("previous", "SYNCER_PREVIOUS");
pub(crate) const SIGNATURE: Variable = variable("signature", "SYNCER_SIGNATURE");
pub(crate) const VERBOSE: Variable = variable("verbose", "SYNCER_VERBOSE");
pub(crate) const NO_PROGRESS: Variable = variable("no-progress", "SYNCER_NO_PROGRESS");
pub(crate) const DEBUG: Variable = variable("debug", "SYNCER_DEBUG");
pub(crate) const LOG_LEVEL: Variable = variable("log-level", "SYNCER_LOG_LEVEL").or("LOG_LEVEL");
pub(crate) const LOG_FORMAT: Variable = variable("log-format", "SYNCER_LOG_FORMAT");
pub(crate) const PUSH: Variable = variable("push", "SYNCER_PUSH");
pub(crate) const LISTEN: Variable = variable("listen", "SYNCER_LISTEN");
pub(crate) const INTERVAL: Variable = variable("interval", "SYNCER_INTERVAL");
pub(crate) const CRON: Variable = variable("cron", "SYNCER_CRON");
pub(crate) const WEBHOOK_SECRET_FILE: Variable =
    variable("webhook-secret-file", "SYNCER_WEBHOOK_SECRET_FILE");
pub(crate) const LEASE: Variable = variable("lease", "SYNCER_LEASE");
pub(crate) const LEASE_SERVICE_ACCOUNT: Variable =
    variable("lease-service-account", "SYNCER_LEASE_SERVICE_ACCOUNT");
pub(crate) const READ_ONLY: Variable = variable("read-only", "SYNCER_READ_ONLY");
pub(crate) const SPARSE: Variable = variable("sparse", "SYNCER_SPARSE");
pub(crate) const HTPASSWD: Variable = variable("htpasswd", "SYNCER_HTPASSWD");
pub(crate) const TLS_CERTIFICATE: Variable = variable("tls-certificate", "SYNCER_TLS_CERTIFICATE");
pub(crate) const TLS_KEY: Variable = variable("tls-key", "SYNCER_TLS_KEY");
pub(crate) const SEMVER: Variable = variable("semver", "SYNCER_SEMVER");
pub(crate) const INCLUDE: Variable = variable("include", "SYNCER_INCLUDE");
pub(crate) const EXCLUDE: Variable = variable("exclude", "SYNCER_EXCLUDE");
pub(crate) const LATEST: Variable = variable("latest", "SYNCER_LATEST");
pub(crate) const PER: Variable = variable("per", "SYNCER_PER");
pub(crate) const MAX_TAGS: Variable = variable("max-tags", "SYNCER_MAX_TAGS");
pub(crate) const ALLOW_EMPTY: Variable = variable("allow-empty", "SYNCER_ALLOW_EMPTY");

pub(crate) const METRICS_LISTEN: Variable = variable("metrics-listen", "SYNCER_METRICS_LISTEN");
pub(crate) const METRICS_FILE: Variable = variable("metrics-file", "SYNCER_METRICS_FILE");
pub(crate) const METRICS_PUSH: Variable = variable("metrics-push", "SYNCER_METRICS_PUSH");
pub(crate) const OTLP_ENDPOINT: Variable = variable("otlp-endpoint", "SYNCER_OTLP_ENDPOINT");

/// Every variable that stands in for a flag.
pub(crate) const VARIABLES: &[Variable] = &[
    IMAGES_FILE,
    TARGET_REPO_PREFIX,
    TARGET_REPO_AUTH_KEY,
    ACCESS_TOKEN,
    KMS_KEY,
    FORMER_KEY,
    SIGN,
    SIGNATURE_FORMAT,
    SIGN_RECURSIVELY,
    ATTEST,
    REKOR_URL,
    REKOR_KEY,
    KEY,
    TRUSTED_ROOT,
    CERTIFICATE_IDENTITY,
    CERTIFICATE_IDENTITY_REGEXP,
    CERTIFICATE_OIDC_ISSUER,
    CERTIFICATE_OIDC_ISSUER_REGEXP,
    ATTESTATION,
    CONFIG,
    SHARD,
    ECR_ACCOUNT_ID,
    ECR_REGION,
    DEFAULT_LIFECYCLE_POLICY_FILE,
    DEFAULT_PERMISSION_POLICY_FILE,
    DEFAULT_RESOURCE_TAGS_FILE,
    PRUNE_POLICIES,
    DRY_RUN,
    EXIT_CODE,
    PLAN_FILE,
    LOCK_FILE,
    NO_LOCK,
    UPDATE,
    CHECK,
    PLATFORM,
    CONCURRENCY,
    DEADLINE,
    FAIL_FAST,
    FOREIGN_LAYERS,
    SOURCE_LOST,
    REFERRERS,
    REFERRERS_REQUIRED,
    LATE_REFERRERS,
    OUTPUT,
    REPORT,
    GITHUB,
    AUDIT_LOG,
    AUDIT_KEY,
    AUDIT_PUSH,
    HEAD,
    PREVIOUS,
    SIGNATURE,
    VERBOSE,
    NO_PROGRESS,
    DEBUG,
    LOG_LEVEL,
    LOG_FORMAT,
    PUSH,
    LISTEN,
    INTERVAL,
    CRON,
    WEBHOOK_SECRET_FILE,
    LEASE,
    LEASE_SERVICE_ACCOUNT,
    READ_ONLY,
    SPARSE,
    HTPASSWD,
    TLS_CERTIFICATE,
    TLS_KEY,
    SEMVER,
    INCLUDE,
    EXCLUDE,
    LATEST,
    PER,
    MAX_TAGS,
    ALLOW_EMPTY,
    METRICS_LISTEN,
    METRICS_FILE,
    METRICS_PUSH,
    OTLP_ENDPOINT,
];

/// The region of AWS's own tools, the first one that is set.
pub(crate) const AWS_REGION: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// What ecr-sync ran its copies with.
pub(crate) const CONTAINER_RUNTIME: &str = "CONTAINER_RUNTIME";

/// The variables of a user and a password for all registries of a side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairVariables {
    pub(crate) username: &'static str,
    pub(crate) password: &'static str,
    /// The file that holds the password.
    pub(crate) password_file: &'static str,
}

pub(crate) const SOURCE_PAIR: PairVariables = PairVariables {
    username: "SYNCER_SOURCE_USERNAME",
    password: "SYNCER_SOURCE_PASSWORD",
    password_file: "SYNCER_SOURCE_PASSWORD_FILE",
};
pub(crate) const TARGET_PAIR: PairVariables = PairVariables {
    username: "SYNCER_TARGET_USERNAME",
    password: "SYNCER_TARGET_PASSWORD",
    password_file: "SYNCER_TARGET_PASSWORD_FILE",
};

pub(crate) const METRICS_PUSH_PAIR: PairVariables = PairVariables {
    username: "SYNCER_METRICS_PUSH_USERNAME",
    password: "SYNCER_METRICS_PUSH_PASSWORD",
    password_file: "SYNCER_METRICS_PUSH_PASSWORD_FILE",
};

/// What those must know who send webhooks; `--webhook-secret-file` goes before it.
pub(crate) const WEBHOOK_SECRET: &str = "SYNCER_WEBHOOK_SECRET";

/// Whether a job of GitLab's reads Docker Hub's images through the proxy of its group.
/// The number of a pod of an Indexed Job, from 0: what Kubernetes sets.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/job/#completion-mode>
pub(crate) const JOB_COMPLETION_INDEX: &str = "JOB_COMPLETION_INDEX";
pub(crate) const GITLAB_DEPENDENCY_PROXY: &str = "SYNCER_GITLAB_DEPENDENCY_PROXY";

/// `true` in a job of GitHub Actions.
pub(crate) const GITHUB_ACTIONS: &str = "GITHUB_ACTIONS";

/// The file that a summary of the step is appended to.
pub(crate) const GITHUB_STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// The folder of the checkout.
pub(crate) const GITHUB_WORKSPACE: &str = "GITHUB_WORKSPACE";

/// Set to anything, it takes all colours away (<https://no-color.org>).
pub(crate) const NO_COLOR: &str = "NO_COLOR";

/// The file with a transparency log's public key, as cosign finds it (cosign, `pkg/cosign/env`).
pub(crate) const SIGSTORE_REKOR_PUBLIC_KEY: &str = "SIGSTORE_REKOR_PUBLIC_KEY";

/// `dumb` is a terminal that can neither colour nor redraw.
pub(crate) const TERM: &str = "TERM";

/// The variables of the process, as they were when it began.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

/// What a variable says, and which one it was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Found<T> {
    /// The variable's name.
    pub(crate) name: &'static str,
    /// What it says.
    pub(crate) value: T,
}

impl Environment {
    pub(crate) fn of_this_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// The variable with this name; none where it is not set or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&OsString> {
        self.even_empty(name).filter(|value| !value.is_empty())
    }

    /// A variable's value, also where it is empty: some passwords are.
    pub(crate) fn even_empty(&self, name: &str) -> Option<&OsString> {
        self.0.get(name.as_ref() as &std::ffi::OsStr)
    }

    /// What stands in for a flag, by either of its names.
    pub(crate) fn os_text(&self, variable: Variable) -> Option<Found<OsString>> {
        [Some(variable.name), variable.old_name]
            .into_iter()
            .flatten()
            .find_map(|name| self.get(name).map(|value| Found { name, value: value.clone() }))
    }

    /// The same, as text.
    pub(crate) fn text(&self, variable: Variable) -> Result<Option<Found<String>>, CliError> {
        let Some(found) = self.os_text(variable) else { return Ok(None) };
        match found.value.into_string() {
            Ok(value) => Ok(Some(Found { name: found.name, value })),
            Err(_) => Err(CliError::usage(format!("the variable {} is not UTF-8", found.name))),
        }
    }

    /// The same, read by `parse`, whose errors say what would be right.
    pub(crate) fn parsed<T>(
        &self,
        variable: Variable,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, CliError> {
        let Some(Found { name, value }) = self.text(variable)? else { return Ok(None) };
        let parsed = parse(&value).map_err(|problem| {
            CliError::usage(format!("the variable {name} is `{}`: {problem}", value.escape_debug()))
                .hint(format!("correct it or unset it; --{} goes before it", variable.flag))
        })?;
        Ok(Some(parsed))
    }

    /// The same, as a boolean.
    pub(crate) fn boolean(&self, variable: Variable) -> Result<Option<bool>, CliError> {
        self.parsed(variable, boolean)
    }

    /// The same, as one of a few words.
    pub(crate) fn choice<T: clap::ValueEnum>(
        &self,
        variable: Variable,
    ) -> Result<Option<T>, CliError> {
        self.parsed(variable, |text| {
            T::from_str(text, true).map_err(|_| {
                let values: Vec<String> = T::value_variants()
                    .iter()
                    .filter_map(T::to_possible_value)
                    .map(|value| format!("`{}`", value.get_name()))
                    .collect();
                format!("it must be one of {}", values.join(", "))
            })
        })
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Reads a boolean as Go's `strconv.ParseBool` does, which kyma's flags and variables were read by.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("it must be `true` or `false`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_read_as_go_does() {
        for text in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(boolean(text), Ok(true), "{text}");
        }
        for text in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(boolean(text), Ok(false), "{text}");
        }
        for text in ["", "yes", "on", "Y", " true", "tRUE", "maybe", "2"] {
            assert!(boolean(text).is_err(), "{text}");
        }
    }

    #[test]
    fn empty_is_not_set_and_the_new_name_goes_first() {
        let environment: Environment =
            [("SYNCER_DEBUG", ""), ("SYNCER_DRY_RUN", "false"), ("DRY_RUN", "true")]
                .into_iter()
                .collect();
        assert_eq!(environment.boolean(DEBUG).unwrap(), None);
        assert_eq!(environment.boolean(DRY_RUN).unwrap(), Some(false));
        let old: Environment = [("SYNCER_DRY_RUN", ""), ("DRY_RUN", "true")].into_iter().collect();
        assert_eq!(old.boolean(DRY_RUN).unwrap(), Some(true));
    }

    #[test]
    fn what_does_not_parse_names_the_variable() {
        let environment: Environment =
            [("DRY_RUN", "maybe"), ("SYNCER_CONCURRENCY", "many")].into_iter().collect();
        let error = environment.boolean(DRY_RUN).unwrap_err();
        assert_eq!(
            error.message(),
            "the variable DRY_RUN is `maybe`: it must be `true` or `false`"
        );
        let error = environment.parsed(CONCURRENCY, crate::arguments::positive).unwrap_err();
        assert!(error.message().contains("SYNCER_CONCURRENCY is `many`"), "{}", error.message());
    }

    #[test]
    fn a_variable_is_named_after_its_flag() {
        for variable in VARIABLES {
            let expected = format!("SYNCER_{}", variable.flag.to_uppercase().replace('-', "_"));
            assert_eq!(variable.name, expected);
        }
    }
}

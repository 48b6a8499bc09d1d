//! [`Actions`]: the calls of ECR that this crate makes, each paced for itself.
//!
//! AWS throttles by account, region and action
//! (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html>), so every action has a
//! client of its own with a retry partition of its own: where `CreateRepository` is throttled, its next
//! calls wait before they are sent, and `DescribeRepositories` goes on. That is the SDK's adaptive mode.
//! Nothing here tries again itself. The clients share connections and credentials.

use std::future::Future;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_ecr::config::http::HttpResponse;
use aws_sdk_ecr::config::interceptors::InterceptorContext;
use aws_sdk_ecr::config::retry::{
    ClassifyRetry, RetryAction, RetryConfig, RetryMode, RetryPartition,
};
use aws_sdk_ecr::config::{Builder, Region};
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use oci::EcrRegistry;
use tokio::sync::Semaphore;

use crate::Error;

/// Attempts that a call has; the SDK's three are few where many repositories are created at once.
const ATTEMPTS: u32 = 10;

/// One action of ECR.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    name: &'static str,
    client: aws_sdk_ecr::Client,
    permits: Arc<Semaphore>,
}

impl Action {
    /// Makes a call when fewer than the greatest number of calls are under way.
    pub(crate) async fn call<T, E, F>(
        &self,
        request: impl FnOnce(&aws_sdk_ecr::Client) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        // It is never closed; if it were, a call too many is better than none.
        let _permit = self.permits.acquire().await.ok();
        tracing::debug!(action = self.name, "asking ECR");
        request(&self.client).await.map_err(|error| Error::of(&error, self.name))
    }

    /// A request that could not be built.
    pub(crate) fn unbuilt(&self, problem: &impl std::fmt::Display) -> Error {
        Error::failed(self.name, format!("{} cannot be asked for: {problem}", self.name))
    }

    /// Something that AWS answered and that is not right.
    pub(crate) fn failed(&self, problem: impl Into<String>) -> Error {
        Error::failed(self.name, problem)
    }
}

macro_rules! actions {
    ($($doc:literal $set:ident { $($field:ident: $name:literal),+ $(,)? })+) => { $(
        #[doc = $doc]
        #[derive(Clone, Debug)]
        pub(crate) struct $set { $(pub(crate) $field: Action),+ }

        impl $set {
            pub(crate) fn new(connection: &Connection) -> Self {
                Self { $($field: connection.action($name)),+ }
            }
        }
    )+ };
}

actions! {
    "What changes nothing."
    Reading {
        describe_registry: "ecr:DescribeRegistry",
        describe_repositories: "ecr:DescribeRepositories",
        get_account_setting: "ecr:GetAccountSetting",
        get_lifecycle_policy: "ecr:GetLifecyclePolicy",
        get_repository_policy: "ecr:GetRepositoryPolicy",
        list_tags_for_resource: "ecr:ListTagsForResource",
    }
    "What changes something."
    Writing {
        create_repository: "ecr:CreateRepository",
        delete_lifecycle_policy: "ecr:DeleteLifecyclePolicy",
        delete_repository_policy: "ecr:DeleteRepositoryPolicy",
        put_account_setting: "ecr:PutAccountSetting",
        put_image_scanning_configuration: "ecr:PutImageScanningConfiguration",
        put_image_tag_mutability: "ecr:PutImageTagMutability",
        put_lifecycle_policy: "ecr:PutLifecyclePolicy",
        set_repository_policy: "ecr:SetRepositoryPolicy",
        tag_resource: "ecr:TagResource",
    }
}

/// What all actions on a registry have in common.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    config: Builder,
    permits: Arc<Semaphore>,
}

impl Connection {
    pub(crate) fn new(shared: &SdkConfig, registry: &EcrRegistry, parallel: usize) -> Self {
        let retry = shared.retry_config().cloned().unwrap_or_else(RetryConfig::standard);
        // One attempt: whoever asked for that wants to see the first failure.
        let retry = if retry.has_retry() {
            let attempts = retry.max_attempts().max(ATTEMPTS);
            retry.with_retry_mode(RetryMode::Adaptive).with_max_attempts(attempts)
        } else {
            retry
        };
        let mut config = Builder::from(shared)
            .region(Region::new(registry.region().to_owned()))
            .retry_config(retry)
            .retry_classifier(TooManyRequests);
        if registry.is_fips() {
            config = config.use_fips(true);
        }
        Self { config, permits: Arc::new(Semaphore::new(parallel.max(1))) }
    }

    fn action(&self, name: &'static str) -> Action {
        let partition = RetryPartition::custom(name).build();
        let config = self.config.clone().retry_partition(partition).build();
        Action {
            name,
            client: aws_sdk_ecr::Client::from_conf(config),
            permits: self.permits.clone(),
        }
    }
}

/// A 429 without one of AWS's error codes, from what stands between us and AWS. The SDK's own
/// classifiers know the codes, and of bare statuses only those from 500.
#[derive(Debug)]
struct TooManyRequests;

impl ClassifyRetry for TooManyRequests {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let status = context.response().map(|answer| answer.status().as_u16());
        if status == Some(429) {
            RetryAction::throttling_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "429 Too Many Requests"
    }
}

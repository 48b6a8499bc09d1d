//! [`Reading`] and [`Writing`]: the calls of ECR that this crate makes, each action paced for itself.
//!
//! AWS throttles by account, region and action
//! (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html>), so every action has a
//! [`Pace`] and a retry quota of its own: where `CreateRepository` is throttled, `DescribeRepositories`
//! goes on. To wait and to try again is the SDK's business and nobody else's, in its standard mode. Its
//! adaptive mode is not taken: what it learns is a rate, of which a few calls tell nothing, and it makes
//! them wait for 10 s and more.

use std::future::Future;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_config::retry::ErrorKind;
use aws_sdk_ecr::config::http::HttpResponse;
use aws_sdk_ecr::config::interceptors::InterceptorContext;
use aws_sdk_ecr::config::retry::{
    ClassifyRetry, RetryAction, RetryConfig, RetryMode, RetryPartition,
};
use aws_sdk_ecr::config::{Builder, Region};
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::retries::classifiers::{RetryClassifierPriority, RetryReason};
use oci::EcrRegistry;
use tokio::sync::Semaphore;

use crate::Error;
use crate::pace::Pace;

/// Attempts that a call has; the SDK's three are few where many repositories are created at once.
const ATTEMPTS: u32 = 10;

/// One action of ECR.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    name: &'static str,
    client: aws_sdk_ecr::Client,
    pace: Arc<Pace>,
    retries: RetryPartition,
    permits: Arc<Semaphore>,
}

impl Action {
    /// Makes a call when fewer than the greatest number of calls are under way, of this action and of all.
    /// The request is to be sent with the configuration that it is given, by which its attempts are known.
    pub(crate) async fn call<T, E, F>(
        &self,
        request: impl FnOnce(&aws_sdk_ecr::Client, Builder) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        // Its own pace first: who waits for that keeps no other action from going.
        let _going = self.pace.go().await;
        // It is never closed; if it were, a call too many is better than none.
        let _permit = self.permits.acquire().await.ok();
        tracing::debug!(action = self.name, "asking ECR");
        let of_action = Builder::new()
            .retry_partition(self.retries.clone())
            .retry_classifier(TooManyRequests(Arc::clone(&self.pace)));
        let answer = request(&self.client, of_action).await;
        answer.inspect(|_| self.pace.answered()).map_err(|error| Error::of(&error, self.name))
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
    client: aws_sdk_ecr::Client,
    permits: Arc<Semaphore>,
    parallel: usize,
}

impl Connection {
    pub(crate) fn new(shared: &SdkConfig, registry: &EcrRegistry, parallel: usize) -> Self {
        let retry = shared.retry_config().cloned().unwrap_or_else(RetryConfig::standard);
        // One attempt: whoever asked for that wants to see the first failure.
        let retry = if retry.has_retry() {
            let attempts = retry.max_attempts().max(ATTEMPTS);
            retry.with_retry_mode(RetryMode::Standard).with_max_attempts(attempts)
        } else {
            retry
        };
        let mut config = Builder::from(shared)
            .region(Region::new(registry.region().to_owned()))
            .retry_config(retry);
        if registry.is_fips() {
            config = config.use_fips(true);
        }
        let client = aws_sdk_ecr::Client::from_conf(config.build());
        let permits = Arc::new(Semaphore::new(parallel.max(1)));
        Self { client, permits, parallel }
    }

    fn action(&self, name: &'static str) -> Action {
        Action {
            name,
            client: self.client.clone(),
            pace: Arc::new(Pace::new(self.parallel)),
            retries: RetryPartition::custom(name).build(),
            permits: Arc::clone(&self.permits),
        }
    }
}

/// Sees every attempt. A refusal for haste slows the action down, and is tried again also where it is a
/// 429 without one of AWS's error codes, from what stands between us and AWS: the SDK's own classifiers,
/// which go before, know the codes, and of bare statuses only some from 500.
#[derive(Debug)]
struct TooManyRequests(Arc<Pace>);

impl ClassifyRetry for TooManyRequests {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        self.classify_retry_v2(context, &RetryAction::NoActionIndicated)
    }

    fn classify_retry_v2(
        &self,
        context: &InterceptorContext,
        previous: &RetryAction,
    ) -> RetryAction {
        let is_429 = context.response().is_some_and(|answer| answer.status().as_u16() == 429);
        let is_throttled = matches!(
            previous,
            RetryAction::RetryIndicated(RetryReason::RetryableError {
                kind: ErrorKind::ThrottlingError,
                ..
            })
        );
        if is_429 || is_throttled {
            self.0.refused();
        }
        if is_429 && !is_throttled {
            RetryAction::throttling_error()
        } else {
            RetryAction::NoActionIndicated
        }
    }

    fn name(&self) -> &'static str {
        "too many requests"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

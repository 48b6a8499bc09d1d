//! A server that answers ECR's calls as a test says, and remembers them: for what moto does not have
//! (account settings, throttling, denials) and for what is to be counted. AWS's JSON 1.1 protocol: the
//! action stands in `X-Amz-Target`, an error's name in `__type`. Names and fields are those of the API's
//! definition, `botocore/data/ecr/2015-09-21/service-2.json`.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ecr::config::{Credentials, SharedCredentialsProvider, StalledStreamProtectionConfig};
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};
use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use ecr::{Client, Options};
use futures::future::BoxFuture;
use oci::EcrRegistry;
use serde_json::{Value, json};

pub(crate) const ACCOUNT: &str = "123456789012";

/// What a call is answered with.
pub(crate) type Answer = (u16, Value);

type Answering = dyn Fn(String, Value) -> BoxFuture<'static, Answer> + Send + Sync;

pub(crate) struct FakeEcr {
    url: String,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
    pub(crate) clock: Clock,
}

impl FakeEcr {
    /// Answers with what `answer` makes of an action and its input.
    pub(crate) async fn start(
        answer: impl Fn(&str, &Value) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::start_slow(move |action, input| {
            let answer = answer(&action, &input);
            Box::pin(async move { answer })
        })
        .await
    }

    /// The same, with time to wait for something.
    pub(crate) async fn start_slow(
        answer: impl Fn(String, Value) -> BoxFuture<'static, Answer> + Send + Sync + 'static,
    ) -> Self {
        let answer: Arc<Answering> = Arc::new(answer);
        let calls = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&calls);
        let handler = move |headers: HeaderMap, body: Bytes| {
            let target = headers["x-amz-target"].to_str().unwrap();
            let action = target.strip_prefix("AmazonEC2ContainerRegistry_V20150921.").unwrap();
            let input: Value = serde_json::from_slice(&body).unwrap();
            log.lock().unwrap().push((action.to_owned(), input.clone()));
            let answer = answer(action.to_owned(), input);
            async move {
                let (status, body) = answer.await;
                let status = StatusCode::from_u16(status).unwrap();
                let headers = [("content-type", "application/x-amz-json-1.1")];
                (status, headers, body.to_string()).into_response()
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/", post(handler));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, calls, clock: Clock::default() }
    }

    pub(crate) fn client(&self, options: Options) -> Client {
        let registry = EcrRegistry::new(ACCOUNT, "eu-west-1").unwrap();
        Client::new(&self.config(), registry, options)
    }

    pub(crate) fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("AKIDTEST", "secret", None, None, "test");
        config(&self.url, &self.clock)
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    }

    /// The calls up to now.
    pub(crate) fn calls(&self) -> Vec<(String, Value)> {
        self.calls.lock().unwrap().clone()
    }

    /// The inputs of an action's calls.
    pub(crate) fn inputs(&self, action: &str) -> Vec<Value> {
        let calls = self.calls().into_iter().filter(|(called, _)| called == action);
        calls.map(|(_, input)| input).collect()
    }
}

/// A configuration as `aws_config` makes one, without credentials.
pub(crate) fn config(url: &str, clock: &Clock) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(url)
        .retry_config(RetryConfig::standard())
        // Time limits would be over at once on this clock.
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .sleep_impl(SharedAsyncSleep::new(clock.clone()))
        .time_source(SharedTimeSource::new(clock.clone()))
        .build()
}

/// Time that passes only while somebody waits, and then at once.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    waited: Arc<Mutex<Duration>>,
    start: SystemTime,
}

impl Default for Clock {
    fn default() -> Self {
        Self { waited: Arc::default(), start: SystemTime::now() }
    }
}

impl Clock {
    /// How long was waited, all together.
    pub(crate) fn waited(&self) -> Duration {
        *self.waited.lock().unwrap()
    }
}

impl AsyncSleep for Clock {
    fn sleep(&self, duration: Duration) -> Sleep {
        let clock = self.clone();
        Sleep::new(async move { *clock.waited.lock().unwrap() += duration })
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        self.start + self.waited()
    }
}

/// A failure in AWS's words.
pub(crate) fn refusal(code: &str, message: &str) -> Answer {
    (400, json!({"__type": code, "message": message}))
}

pub(crate) fn not_found(name: &str) -> Answer {
    let message = format!(
        "The repository with name '{name}' does not exist in the registry with id '{ACCOUNT}'"
    );
    refusal("RepositoryNotFoundException", &message)
}

/// What `DescribeRepositories` says of a repository of which nothing was said.
pub(crate) fn description(name: &str) -> Value {
    json!({
        "repositoryArn": format!("arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/{name}"),
        "registryId": ACCOUNT,
        "repositoryName": name,
        "imageTagMutability": "MUTABLE",
        "imageScanningConfiguration": {"scanOnPush": false},
        "encryptionConfiguration": {"encryptionType": "AES256"},
    })
}

/// The names that a call asks for.
pub(crate) fn names(input: &Value) -> Vec<String> {
    let names = input["repositoryNames"].as_array().unwrap().iter();
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Answers as a registry with these repositories and no policy.
pub(crate) fn with(names_there: &[String], action: &str, input: &Value) -> Answer {
    match action {
        "DescribeRepositories" => {
            let wanted = names(input);
            match wanted.iter().find(|name| !names_there.contains(name)) {
                Some(missing) => not_found(missing),
                None => {
                    let found: Vec<Value> = wanted.iter().map(|name| description(name)).collect();
                    (200, json!({"repositories": found}))
                }
            }
        }
        "GetRepositoryPolicy" => refusal("RepositoryPolicyNotFoundException", "none"),
        "GetLifecyclePolicy" => refusal("LifecyclePolicyNotFoundException", "none"),
        "ListTagsForResource" => (200, json!({"tags": []})),
        _ => (200, json!({})),
    }
}

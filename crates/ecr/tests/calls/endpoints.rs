//! Whom a client asks: the names are those of AWS's own rules,
//! `botocore/data/ecr/2015-09-21/endpoint-rule-set-1.json`.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ecr::config::http::HttpRequest;
use aws_sdk_ecr::config::{Credentials, RuntimeComponents, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use ecr::{Client, Options, Wanted};
use oci::EcrRegistry;

/// Keeps the address of a request, and sends nothing.
#[derive(Clone, Debug, Default)]
struct Addresses(Arc<Mutex<Vec<String>>>);

impl HttpClient for Addresses {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Addresses {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.0.lock().unwrap().push(request.uri().to_owned());
        HttpConnectorFuture::ready(Err(ConnectorError::user("nothing is sent".into())))
    }
}

#[tokio::test]
async fn the_registry_says_the_region_and_fips_is_heeded() {
    let table = [
        ("eu-west-1", false, false, "https://api.ecr.eu-west-1.amazonaws.com/"),
        ("us-gov-west-1", false, false, "https://api.ecr.us-gov-west-1.amazonaws.com/"),
        ("us-gov-west-1", true, false, "https://api.ecr-fips.us-gov-west-1.amazonaws.com/"),
        ("us-east-2", false, true, "https://api.ecr-fips.us-east-2.amazonaws.com/"),
        ("cn-north-1", false, false, "https://api.ecr.cn-north-1.amazonaws.com.cn/"),
    ];
    for (region, by_name, by_configuration, expected) in table {
        let addresses = Addresses::default();
        let credentials = Credentials::new("AKIDTEST", "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("ap-southeast-2"))
            .use_fips(by_configuration)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(addresses.clone())
            .build();
        let registry = EcrRegistry::new("123456789012", region).unwrap();
        let registry = if by_name { registry.fips() } else { registry };
        let client = Client::new(&config, registry, Options::default());
        let observed = client.observe(&[Wanted::new("aa".parse().unwrap())]).await;
        assert!(observed.values().all(Result::is_err));
        assert_eq!(addresses.0.lock().unwrap().first().map(String::as_str), Some(expected));
    }
}

#[tokio::test]
async fn fips_and_an_endpoint_elsewhere_are_told_apart() {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url("http://127.0.0.1:1")
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "AKIDTEST", "secret", None, None, "test",
        )))
        .build();
    let registry = EcrRegistry::new("123456789012", "us-gov-west-1").unwrap().fips();
    let client = Client::new(&config, registry, Options::default());
    let observed = client.observe(&[Wanted::new("aa".parse().unwrap())]).await;
    let error = observed.values().next().unwrap().as_ref().unwrap_err();
    assert!(error.hint().unwrap().contains("AWS_USE_FIPS_ENDPOINT"), "{error:?}");
}

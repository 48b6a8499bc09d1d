//! TLS, plain http, endpoints, mirrors.

use oci::{Host, Selector};
use registry::{ClientCertificate, ErrorKind, RegistrySettings, Settings};
use testkit::{Auth, Certificate, ClosedPort, Fault, Registry, image, path};

use crate::{Known, by_tag, client, content, file, open, repository, settings, settings_for, tag};

async fn with_image(builder: testkit::Builder) -> Registry {
    let registry = builder.start().await;
    registry.add(&repository("a"), &tag("1"), &image::single(1)).await;
    registry
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_named() {
    let registry = with_image(Registry::builder().tls()).await;
    let trusting = RegistrySettings { ca_file: registry.ca_file(), ..Default::default() };
    let of_it = settings_for(&registry, trusting);
    let everywhere = Settings { default_ca_file: registry.ca_file(), ..settings() };
    for settings in [of_it, everywhere] {
        let a = client(settings, Known::nobody()).repository(&registry.host(), &repository("a"));
        assert!(a.resolve(&by_tag("1")).await.unwrap().is_some());
        let blob = image::single(1).layers()[0].clone();
        let reader = a.read_blob(&blob.digest, Some(blob.size)).await.unwrap();
        assert_eq!(content(reader).await.unwrap().len() as u64, blob.size);
    }
}

#[tokio::test]
async fn each_bad_certificate_says_what_is_wrong_with_it() {
    let cases = [
        (Certificate::Valid, false, "unknown authority", "`ca`"),
        (Certificate::Expired, true, "has expired", "renew"),
        (Certificate::WrongName, true, "for another name", "name"),
    ];
    for (certificate, trusted, words, hint) in cases {
        let registry = with_image(Registry::builder().certificate(certificate)).await;
        let ca_file = if trusted { registry.ca_file() } else { None };
        let settings = settings_for(&registry, RegistrySettings { ca_file, ..Default::default() });
        let a = client(settings, Known::nobody()).repository(&registry.host(), &repository("a"));
        let error = a.resolve(&by_tag("1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().contains(registry.host().as_str()), "{error}");
        assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
        assert!(!error.is_temporary());
        assert!(registry.log().requests().is_empty());
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let registry = with_image(Registry::builder().demand_client_certificate()).await;
    let identity = registry.client_identity("robot").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let certificate = ClientCertificate {
        certificate_file: file(&folder, "robot.pem", &identity.certificate_pem),
        key_file: file(&folder, "robot.key", &identity.key_pem),
    };
    let with = |client_certificate| {
        let registry_settings = RegistrySettings {
            ca_file: registry.ca_file(),
            client_certificate,
            ..Default::default()
        };
        client(settings_for(&registry, registry_settings), Known::nobody())
            .repository(&registry.host(), &repository("a"))
    };
    assert!(with(Some(certificate)).resolve(&by_tag("1")).await.unwrap().is_some());
    let error = with(None).resolve(&by_tag("1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
}

#[tokio::test]
async fn plain_http_on_loopback_unless_tls_is_demanded() {
    let registry = with_image(Registry::builder()).await;
    assert!(open(&registry, "a").resolve(&by_tag("1")).await.unwrap().is_some());
    let demanding = RegistrySettings { plain_http: Some(false), ..Default::default() };
    let a = client(settings_for(&registry, demanding), Known::nobody())
        .repository(&registry.host(), &repository("a"));
    let error = a.resolve(&by_tag("1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
    assert!(error.hint().unwrap().contains("insecure"), "{:?}", error.hint());
}

#[tokio::test]
async fn an_endpoint_is_connected_to_under_the_registrys_name() {
    let registry = with_image(Registry::builder().auth(Auth::basic("robot", "secret"))).await;
    for host in ["registry.example", "registry.example:5000", "docker.io"] {
        let host: Host = host.parse().unwrap();
        let endpoint = Some(registry.url().parse().unwrap());
        let registries =
            [(host.clone(), RegistrySettings { endpoint, ..Default::default() })].into();
        let a = client(Settings { registries, ..settings() }, Known::user("secret"))
            .repository(&host, &repository("a"));
        registry.log().clear();
        assert!(a.resolve(&by_tag("1")).await.unwrap().is_some(), "{}", registry.log());
        crate::uploads::upload(&a, oci::Digest::sha256(b"x"), "x".into()).await.unwrap();
        let name = if host.is_docker_hub() { "registry-1.docker.io" } else { host.as_str() };
        for request in registry.log().requests() {
            assert_eq!(request.header("host"), Some(name), "{request}");
        }
    }
}

#[tokio::test]
async fn mirrors_are_asked_first_and_the_registry_last() {
    let (mirror, own) = (with_image(Registry::builder()).await, Registry::start().await);
    let dead = ClosedPort::bind();
    own.add(&repository("a"), &tag("2"), &image::single(2)).await;
    let mirrors = vec![dead.host().into(), mirror.host().into()];
    let a = client(
        settings_for(&own, RegistrySettings { mirrors, ..Default::default() }),
        Known::nobody(),
    )
    .repository(&own.host(), &repository("a"));
    let first = image::single(1);
    assert_eq!(a.resolve(&by_tag("1")).await.unwrap(), Some(first.root.clone()));
    let layer = first.layers()[0].clone();
    content(a.read_blob(&layer.digest, Some(layer.size)).await.unwrap()).await.unwrap();
    assert!(own.log().requests().is_empty(), "{}", own.log());
    let second = image::single(2).root;
    assert_eq!(a.resolve(&by_tag("2")).await.unwrap(), Some(second.clone()));
    assert_eq!(a.resolve(&by_tag("3")).await.unwrap(), None);
    // A mirror that gives wrong content is passed over.
    mirror.inject(Fault::flip_byte(20).on("GET", path::MANIFESTS));
    mirror.add(&repository("a"), &tag("2"), &image::single(2)).await;
    let manifest = a.manifest(&Selector::from(second.digest)).await.unwrap().unwrap();
    assert_eq!(manifest.digest(), second.digest);
}

#[tokio::test]
async fn a_mirror_that_gave_a_wrong_blob_is_not_asked_for_it_again() {
    let (mirror, own) =
        (with_image(Registry::builder()).await, with_image(Registry::builder()).await);
    mirror.inject(Fault::flip_byte(0).on("GET", path::BLOBS));
    let a = client(
        settings_for(
            &own,
            RegistrySettings { mirrors: vec![mirror.host().into()], ..Default::default() },
        ),
        Known::nobody(),
    )
    .repository(&own.host(), &repository("a"));
    let layer = image::single(1).layers()[0].clone();
    let wrong = content(a.read_blob(&layer.digest, Some(layer.size)).await.unwrap()).await;
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Content);
    content(a.read_blob(&layer.digest, Some(layer.size)).await.unwrap()).await.unwrap();
}

/// GitLab's dependency proxy: below a path, with a login of its own, and not always there.
#[tokio::test]
async fn a_mirror_below_a_path_is_read_by_its_own_name_and_passed_over_where_it_refuses() {
    let mirror = Registry::builder().auth(Auth::bearer("robot", "secret")).start().await;
    mirror.add(&repository("group/proxy/a"), &tag("1"), &image::single(1)).await;
    let own = with_image(Registry::builder()).await;
    let prefix = Some(repository("group/proxy"));
    let mirrors = vec![oci::Mirror { host: mirror.host(), prefix }];
    let asked = |credentials| {
        let settings = RegistrySettings { mirrors: mirrors.clone(), ..Default::default() };
        client(settings_for(&own, settings), credentials).repository(&own.host(), &repository("a"))
    };
    let a = asked(Known::user("secret"));
    let root = image::single(1).root;
    assert_eq!(a.resolve(&by_tag("1")).await.unwrap(), Some(root.clone()));
    assert!(own.log().requests().is_empty(), "{}", own.log());
    let layer = image::single(1).layers()[0].clone();
    for status in [401, 403, 404, 500, 503] {
        own.log().clear();
        mirror.clear_faults();
        mirror.inject(Fault::status(status).on("*", path::MANIFESTS));
        assert_eq!(a.resolve(&by_tag("1")).await.unwrap(), Some(root.clone()), "{status}");
        assert!(!own.log().requests().is_empty(), "{status}");
        mirror.clear_faults();
        mirror.inject(Fault::status(status).on("GET", path::BLOBS));
        content(a.read_blob(&layer.digest, Some(layer.size)).await.unwrap()).await.unwrap();
        assert_eq!(own.log().count("GET", path::BLOBS), 1, "{status}");
        // Its token server; a client that has no token yet.
        mirror.clear_faults();
        let fault = mirror.inject(Fault::status(status).on("*", "/token"));
        let fresh = asked(Known::user("secret"));
        assert_eq!(fresh.resolve(&by_tag("1")).await.unwrap(), Some(root.clone()), "{status}");
        // A 403 may be an expired credential's, which is looked up anew once.
        let times = if status == 403 { 2 } else { 1 };
        assert_eq!(fault.hits(), times, "{status}: a registry is waited for, not its mirror");
    }
    let nobody = asked(Known::nobody());
    assert_eq!(nobody.resolve(&by_tag("1")).await.unwrap(), Some(root));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told_at_once() {
    let host: Host = "no-such-registry.invalid".parse().unwrap();
    let a = client(settings(), Known::nobody()).repository(&host, &repository("a"));
    let error = a.resolve(&by_tag("1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Network, "{error}");
    assert!(error.to_string().contains("no-such-registry.invalid"), "{error}");
}

//! The listener: HTTP/1.1 and HTTP/2, TLS, and an end that cuts no answer off.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use oci::Digest;
use rustls::pki_types::CertificateDer;
use server::{Options, Tls, TlsError, router, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A registry with a listener; ends when it is dropped, or asked to.
struct Listening {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), server::Error>>,
}

impl Listening {
    async fn start(folder: &Path, tls: Option<Tls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let router = router(folder, Options::default());
        let served = tokio::spawn(serve(listener, router, tls, async {
            let _ = ended.await;
        }));
        Self { address, end: Some(end), served }
    }
}

/// A certificate for `localhost` and its key in files, and the certificate to trust.
fn certificate(folder: &Path) -> (PathBuf, PathBuf, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key, made.cert.der().clone())
}

/// A client that trusts one certificate, or none, and speaks these protocols.
fn client(trusted: Option<&CertificateDer<'static>>, protocols: &[&str]) -> reqwest::Client {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(trusted.cloned());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    reqwest::Client::builder().no_proxy().tls_backend_preconfigured(config).build().unwrap()
}

#[tokio::test]
async fn both_versions_of_http_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key, trusted) = certificate(folder.path());
    let tls = Tls::read(&certificate, &key).unwrap();
    let listening = Listening::start(&folder.path().join("data"), Some(tls)).await;
    let url = format!("https://localhost:{}/v2/", listening.address.port());
    for (protocols, version) in
        [(&["h2", "http/1.1"][..], http::Version::HTTP_2), (&["http/1.1"], http::Version::HTTP_11)]
    {
        let answer = client(Some(&trusted), protocols).get(&url).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    }
}

#[tokio::test]
async fn certificates_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key, _) = self::certificate(folder.path());
    let other = tempfile::tempdir().unwrap();
    let (_, other_key, _) = self::certificate(other.path());
    let missing = folder.path().join("missing");
    for (certificate, key, expected) in [
        (&missing, &key, "cannot read the certificates"),
        (&certificate, &missing, "cannot read the key"),
        (&certificate, &certificate, "cannot read the key"),
        (&certificate, &other_key, "cannot be used"),
    ] {
        let error: TlsError = Tls::read(certificate, key).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn an_upload_under_way_is_finished_before_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut listening = Listening::start(folder.path(), None).await;
    let digest = Digest::sha256(b"hello world");
    let (more, rest) = oneshot::channel::<()>();
    let (sent, arrived) = oneshot::channel::<()>();
    let body = stream::unfold(Some((sent, rest)), |state| async {
        let (sent, rest) = state?;
        sent.send(()).ok()?;
        let _ = rest.await;
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b"hello world")), None))
    });
    let url = format!("http://{}/v2/a/blobs/uploads/?digest={digest}", listening.address);
    let client = client(None, &[]);
    let upload = tokio::spawn(client.post(url).body(reqwest::Body::wrap_stream(body)).send());
    arrived.await.unwrap();
    // The server has begun to answer when it has a file for the blob.
    let probe = format!("http://{}/v2/", listening.address);
    let uploads = folder.path().join("a/.uploads");
    while !std::fs::read_dir(&uploads).is_ok_and(|mut uploads| uploads.next().is_some()) {
        client.get(&probe).send().await.unwrap();
    }
    listening.end.take().unwrap().send(()).unwrap();
    more.send(()).unwrap();
    assert_eq!(upload.await.unwrap().unwrap().status().as_u16(), 201);
    listening.served.await.unwrap().unwrap();
    // The port may be somebody else's by now, who has not got the blob.
    let url = format!("http://{}/v2/a/blobs/{digest}", listening.address);
    let later = client.get(url).send().await;
    assert!(later.is_err() || later.is_ok_and(|answer| !answer.status().is_success()));
    let blob = folder.path().join("a/blobs/sha256").join(digest.hex());
    assert_eq!(std::fs::read(blob).unwrap(), b"hello world");
}

#[tokio::test]
async fn an_upload_whose_client_is_gone_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let listening = Listening::start(folder.path(), None).await;
    let client = client(None, &[]);
    let base = format!("http://{}", listening.address);
    let started = client.post(format!("{base}/v2/a/blobs/uploads/")).send().await.unwrap();
    let location = started.headers()["location"].to_str().unwrap().to_owned();

    let head = format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n");
    let mut connection = TcpStream::connect(listening.address).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(b"hello").await.unwrap();
    connection.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = connection.read_to_string(&mut answer).await;
    drop(connection);

    let url = format!("{base}{location}");
    let status = client.get(&url).send().await.unwrap();
    assert_eq!(status.status().as_u16(), 204);
    let (_, last) = status.headers()["range"].to_str().unwrap().split_once('-').unwrap();
    let have = last.parse::<usize>().unwrap();
    let have = if have == 0 { 0 } else { have + 1 };
    let digest = Digest::sha256(b"hello world");
    let rest = &b"hello world"[have..];
    let done =
        client.put(format!("{url}?digest={digest}")).body(rest.to_vec()).send().await.unwrap();
    assert_eq!(done.status().as_u16(), 201);
}

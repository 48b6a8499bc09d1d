//! [`Collector`]: takes what is sent to it by OTLP over HTTP, in Protobuf.
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use registry::RegistrySettings;
use report::{Delivery, Patience, deliver};
use reqwest::Method;
use reqwest::header::{CONTENT_ENCODING, HeaderValue};

use super::settings::Destination;
use crate::error::{CliError, with_causes};

/// How long one message is tried when the process ends: less than it waits, so that it knows what was wrong.
const AT_THE_END: Duration = Duration::from_secs(3);

/// The first pause before something is sent again.
const PAUSE: Duration = Duration::from_millis(500);

/// Who takes one signal.
pub(super) struct Collector {
    signal: &'static str,
    destination: Destination,
    client: reqwest::Client,
    trouble: Arc<Trouble>,
}

impl Collector {
    /// # Errors
    /// A file of certificates that cannot be read.
    pub(super) fn new(
        signal: &'static str,
        destination: &Destination,
        trouble: &Arc<Trouble>,
    ) -> Result<Self, CliError> {
        let own = RegistrySettings {
            ca_file: destination.ca_file.clone(),
            client_certificate: destination.client_certificate.clone(),
            ..RegistrySettings::default()
        };
        let web = registry::Settings {
            registries: [(destination.host.clone(), own)].into(),
            ..registry::Settings::default()
        };
        let client = registry::web_client(&web, &destination.host).map_err(|error| {
            CliError::usage(format!("{signal} cannot be exported: {}", with_causes(&error)))
        })?;
        let (destination, trouble) = (destination.clone(), Arc::clone(trouble));
        Ok(Self { signal, destination, client, trouble })
    }

    /// Sends a message; whether it was taken. That one was not is told once.
    pub(super) async fn take(&self, message: &impl Message) -> bool {
        let Destination { url, headers, timeout, .. } = &self.destination;
        let mut headers = headers.clone();
        let mut body = message.encode_to_vec();
        if self.destination.gzip
            && let Some(smaller) = gzipped(&body)
        {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            body = smaller;
        }
        let delivery = Delivery {
            method: Method::POST,
            url: url.clone(),
            headers,
            content_type: "application/x-protobuf",
            body,
        };
        let timeout = if self.trouble.is_ending() { (*timeout).min(AT_THE_END) } else { *timeout };
        // One that is known to be down is asked once each time.
        let pause = if self.trouble.is_known() { timeout * 2 } else { PAUSE };
        let patience = Patience { total: timeout, attempt: timeout, pause };
        let taken = deliver(&self.client, &delivery, &patience).await;
        if let Err(error) = &taken {
            self.trouble.not_taken(self.signal, &self.destination.host, error);
        }
        taken.is_ok()
    }
}

fn gzipped(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

/// What goes wrong with a collector is told once by a process, however often it goes wrong.
#[derive(Default)]
pub(super) struct Trouble {
    is_told: AtomicBool,
    ends: AtomicBool,
}

impl Trouble {
    fn is_known(&self) -> bool {
        self.is_told.load(Ordering::Relaxed)
    }

    fn is_ending(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    /// The process ends.
    pub(super) fn ends(&self) {
        self.ends.store(true, Ordering::Relaxed);
    }

    fn not_taken(&self, signal: &str, host: &oci::Host, error: &report::Undelivered) {
        if !self.is_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "{host} does not take {signal}: {error}; the run goes on, and this is not told again"
            );
        }
    }

    /// So many spans were not taken, or did not fit into the queue.
    pub(super) fn lost(&self, spans: u64) {
        if spans > 0 && !self.is_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the traces are not whole: {spans} spans were left out, because the collector did \
                 not take them in time"
            );
        }
    }
}

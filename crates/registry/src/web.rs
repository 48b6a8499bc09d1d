//! [`web_client`]: HTTP to what is no registry but is trusted like one, such as a chart repository.

use std::time::Duration;

use oci::Host;
use reqwest::redirect::Policy;

use crate::settings::{Settings, SettingsError};
use crate::tls;

/// A client for a web server: with the certificates and the client certificate that the settings have
/// for its host, and the system's proxy. It follows no redirect, unpacks nothing and tries nothing
/// again: whoever asks knows what may be done.
///
/// # Errors
/// [`SettingsError`], such as for a file of certificates that cannot be read.
pub fn web_client(settings: &Settings, host: &Host) -> Result<reqwest::Client, SettingsError> {
    let own = settings.registries.get(host);
    let roots = tls::with_file(&tls::system_roots(), settings.default_ca_file.as_deref())?;
    let roots = tls::with_file(&roots, own.and_then(|own| own.ca_file.as_deref()))?;
    let certificate = own.and_then(|own| own.client_certificate.as_ref());
    let mut builder = reqwest::Client::builder()
        .user_agent(&settings.user_agent)
        .tls_backend_preconfigured(tls::configuration(roots, certificate)?)
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(settings.timeouts.connect)
        .read_timeout(settings.timeouts.idle)
        .tcp_keepalive(Duration::from_secs(30));
    if host.is_loopback() {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| SettingsError::Http(error.without_url().to_string()))
}

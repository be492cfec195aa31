//! The reqwest clients of the default transport, without the features that would change a request or repeat it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use http::header::HeaderName;
use reqwest::redirect;

use super::pools::{Make, Pools};
use crate::error::{BuildError, BuildErrorKind, reason};

/// The settings of reqwest that the caller chose.
pub(crate) enum ReqwestSettings {
    Default,
    /// A builder in place of the defaults.
    Builder(Box<reqwest::ClientBuilder>),
    /// A function that changes the defaults.
    Changed(Box<Change>),
}

type Change = dyn Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync;

impl ReqwestSettings {
    /// Creates the transport. `is_ours` returns whether only the client may set a header, `is_http` is true for a plain
    /// HTTP base URL, and `max_body` limits the bodies that a wrapper collects.
    pub(crate) fn pools(
        self,
        is_ours: impl Fn(&HeaderName) -> bool + Send + Sync + 'static,
        connect_timeout: Duration,
        is_http: bool,
        max_body: usize,
    ) -> Result<Pools, Box<BuildError>> {
        const HAS_TLS: bool = cfg!(any(feature = "rustls", feature = "rustls-no-provider", feature = "native-tls"));
        let build = move |builder| build(builder, connect_timeout, is_http);
        let make: Box<Make> = match self {
            Self::Builder(builder) => {
                return Ok(Pools::single(build(checked(*builder, is_ours)?)?, connect_timeout, max_body));
            }
            Self::Changed(change) => Box::new(move || build(checked(change(defaults()), &is_ours)?)),
            Self::Default if is_http || HAS_TLS => Box::new(move || build(defaults())),
            // A builder of the caller may have TLS although no feature of this crate is on.
            Self::Default => {
                return Err(BuildError::new(
                    BuildErrorKind::Configuration,
                    "an https base URL requires TLS; enable the feature `rustls` or `native-tls` of steadfast, or pass \
                     a builder with TLS to `ClientBuilder::reqwest`",
                ));
            }
        };
        Pools::new(make, connect_timeout, max_body)
    }
}

/// Returns the builder with the defaults that a caller may change.
///
/// Pooled connections are closed after 30 s without a request, since load balancers close them after 60 s or more: a
/// request that is sent at that moment would fail, and a POST is not resent. Over HTTP/2, a connection that stopped
/// responding is noticed after 20 s, within the attempt timeout of 30 s.
fn defaults() -> reqwest::ClientBuilder {
    with_tls_library(reqwest::Client::builder())
        .pool_idle_timeout(Duration::from_secs(30))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .http2_keep_alive_timeout(Duration::from_secs(10))
        .http2_keep_alive_while_idle(true)
}

/// Selects the TLS library, since another crate of the program may turn both on.
#[cfg(any(feature = "rustls", feature = "rustls-no-provider"))]
fn with_tls_library(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    builder.tls_backend_rustls()
}

/// As above.
#[cfg(all(feature = "native-tls", not(any(feature = "rustls", feature = "rustls-no-provider"))))]
fn with_tls_library(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    builder.tls_backend_native()
}

/// Without a TLS feature of this crate, there is nothing to select.
#[cfg(not(any(feature = "rustls", feature = "rustls-no-provider", feature = "native-tls")))]
fn with_tls_library(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    builder
}

/// Builds a client with the settings that a caller may not change.
///
/// Redirects are not followed, because they could send the key to another origin. `Referer` is off, because abaco
/// checks it. reqwest's own retries are off, because the client would not see them. A client for plain HTTP has no
/// proxies, which would see the key, and no certificates, which the machine may not have.
fn build(
    builder: reqwest::ClientBuilder,
    connect_timeout: Duration,
    is_http: bool,
) -> Result<reqwest::Client, Box<BuildError>> {
    let builder = builder
        .redirect(redirect::Policy::none())
        .referer(false)
        // Another crate of the program may turn these features of reqwest on.
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        // It would log the key.
        .connection_verbose(false)
        .retry(reqwest::retry::never())
        .connect_timeout(connect_timeout);
    let builder = if is_http { without_tls(builder.no_proxy()) } else { builder };
    let problem = match catch_unwind(AssertUnwindSafe(|| builder.build())) {
        Ok(Ok(client)) => return Ok(client),
        Ok(Err(error)) => match reason(&error) {
            cause if cause.contains("CA certificates") => {
                format!("{cause}; install them (package ca-certificates), or set SSL_CERT_FILE to a bundle of them")
            }
            cause => format!("the HTTP client could not be built: {cause}"),
        },
        // reqwest panics in this case only.
        Err(_) => "rustls has no crypto provider; call `install_default` of one before building the client".to_owned(),
    };
    Err(BuildError::new(BuildErrorKind::Configuration, problem))
}

#[cfg(any(feature = "rustls", feature = "rustls-no-provider", feature = "native-tls"))]
fn without_tls(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    builder.tls_certs_only([])
}

#[cfg(not(any(feature = "rustls", feature = "rustls-no-provider", feature = "native-tls")))]
fn without_tls(builder: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    builder
}

/// Returns the caller's builder without its time limits, which the client's own replace.
///
/// Settings that cannot be undone and would change how the service treats a request are rejected: a cookie store, and
/// default headers that only the client may set (`is_ours`).
fn checked(
    builder: reqwest::ClientBuilder,
    is_ours: impl Fn(&HeaderName) -> bool,
) -> Result<reqwest::ClientBuilder, Box<BuildError>> {
    const NO_LIMIT: Duration = Duration::from_secs(10 * 365 * 86_400);
    // The builder shows its settings only in its `Debug` output.
    let settings = format!("{builder:?}");
    let mut names = settings.split('"').filter_map(|name| HeaderName::try_from(name).ok());
    let problem = if settings.contains("cookie_store: ") {
        "a cookie store, and a session cookie can replace the key; remove it".to_owned()
    } else if let Some(name) = names.find(|name| is_ours(name) && settings.contains(&format!("\"{name}\": "))) {
        format!("the default header {name}, which only the client may set; remove it")
    } else {
        return Ok(builder.timeout(NO_LIMIT).read_timeout(NO_LIMIT));
    };
    Err(BuildError::new(BuildErrorKind::Configuration, format!("the reqwest builder has {problem}")))
}

//! The default transport: reqwest, without the features that would change a request or repeat it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use http::Method;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use reqwest::redirect;

use super::failure::broken;
use super::{Body, HttpRequest};
use crate::catalog::Effect;
use crate::error::{ApiError, BuildError, BuildErrorKind, Limit, TimeoutError};

/// The default transport, with its connection pool.
pub(crate) struct Reqwest {
    client: reqwest::Client,
    connect_timeout: Duration,
}

impl Reqwest {
    /// Creates the transport.
    ///
    /// Redirects are not followed, because they could send the key to another origin. `Referer` is off, because abaco
    /// checks it. reqwest's own retries are off, because the client would not see them. `direct` turns off the proxies
    /// of the environment, which would see the key in plain HTTP.
    pub(crate) fn new(
        builder: reqwest::ClientBuilder,
        connect_timeout: Duration,
        direct: bool,
    ) -> Result<Self, Box<BuildError>> {
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
        let builder = if direct { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|error| {
            BuildError::new(BuildErrorKind::Configuration, "the HTTP client could not be built").because(&error)
        })?;
        Ok(Self { client, connect_timeout })
    }

    /// Sends a request, like [`Transport::send`](super::Transport::send) but without a boxed future.
    pub(crate) fn send(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<http::Response<Body>, ApiError>> + Send + Unpin {
        let mut outgoing = reqwest::Request::new(request.method, request.url);
        *outgoing.headers_mut() = request.headers;
        if !request.body.is_empty() {
            *outgoing.body_mut() = Some(request.body.into());
        } else if matches!(*outgoing.method(), Method::POST | Method::PUT | Method::PATCH) {
            // Strict servers reject such a request without a length (RFC 9110 §8.6).
            outgoing.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let mut response = self.client.execute(outgoing);
        poll_fn(move |context| match ready!(Pin::new(&mut response).poll(context)) {
            Ok(response) => Poll::Ready(Ok(http::Response::from(response).map(Body::network))),
            Err(error) => Poll::Ready(Err(self.failure(error))),
        })
    }

    #[cold]
    fn failure(&self, error: reqwest::Error) -> ApiError {
        let error = error.without_url();
        if error.is_builder() {
            let problem = "the URL cannot be sent, most likely because it is too long; move parameters into the body";
            return BuildError::new(BuildErrorKind::Query, problem).because(&error).into();
        }
        if error.is_connect() && error.is_timeout() {
            return TimeoutError::new(Limit::Connect, self.connect_timeout, Effect::None).into();
        }
        broken(error).into()
    }
}

/// Returns the caller's builder without its time limits, which the client's own replace.
///
/// Settings that cannot be undone and would change how the service treats a request are rejected: a cookie store, and
/// default headers that only the client may set (`is_ours`).
pub(crate) fn checked(
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

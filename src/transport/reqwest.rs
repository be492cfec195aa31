//! The default transport: reqwest, with everything off that would break a promise.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use http::header::HeaderName;
use reqwest::redirect;

use super::failure::broken;
use super::{Body, HttpRequest};
use crate::catalog::Effect;
use crate::error::{ApiError, BuildError, BuildErrorKind, Limit, TimeoutError};

/// reqwest, with a pool of connections.
pub(crate) struct Reqwest {
    client: reqwest::Client,
    connect_timeout: Duration,
}

impl Reqwest {
    /// Redirects are not followed, since they could carry the key to another origin; `Referer` and cookies would change
    /// how abaco judges a request; reqwest's own retries would not be counted. With `direct`, no proxy from the
    /// environment is used: over plain HTTP it would see the key.
    pub(crate) fn new(
        builder: reqwest::ClientBuilder,
        connect_timeout: Duration,
        direct: bool,
    ) -> Result<Self, Box<BuildError>> {
        let builder = builder
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(connect_timeout);
        let builder = if direct { builder.no_proxy() } else { builder };
        let client = builder.build().map_err(|error| {
            BuildError::new(BuildErrorKind::Configuration, "the HTTP client could not be set up; its source says why")
                .with_source(error)
        })?;
        Ok(Self { client, connect_timeout })
    }

    /// As [`Transport::send`](super::Transport::send).
    pub(crate) fn send(
        &self,
        request: HttpRequest,
    ) -> impl Future<Output = Result<http::Response<Body>, ApiError>> + Send + Unpin {
        let mut outgoing = reqwest::Request::new(request.method, request.url);
        *outgoing.headers_mut() = request.headers;
        if !request.body.is_empty() {
            *outgoing.body_mut() = Some(request.body.into());
        }
        let mut answer = self.client.execute(outgoing);
        poll_fn(move |context| match ready!(Pin::new(&mut answer).poll(context)) {
            Ok(answer) => Poll::Ready(Ok(http::Response::from(answer).map(Body::network))),
            Err(error) => Poll::Ready(Err(self.failure(error))),
        })
    }

    #[cold]
    fn failure(&self, error: reqwest::Error) -> ApiError {
        let error = error.without_url();
        if error.is_builder() {
            let problem = "the address cannot be sent; most likely it is too long, and parameters belong into a body";
            return BuildError::new(BuildErrorKind::Query, problem).with_source(error).into();
        }
        if error.is_connect() && error.is_timeout() {
            return TimeoutError::new(Limit::Connect, self.connect_timeout, Effect::None).into();
        }
        broken(error).into()
    }
}

/// Takes a caller's builder, without its time limits, whose place the client's own take. What of it would break a promise
/// and cannot be undone is refused; `is_ours` says of which headers the client answers for itself.
pub(crate) fn checked(
    builder: reqwest::ClientBuilder,
    is_ours: impl Fn(&HeaderName) -> bool,
) -> Result<reqwest::ClientBuilder, Box<BuildError>> {
    const NO_LIMIT: Duration = Duration::from_secs(10 * 365 * 86_400);
    // reqwest tells its settings by `Debug` only.
    let settings = format!("{builder:?}");
    let mut names = settings.split('"').filter_map(|name| HeaderName::try_from(name).ok());
    let problem = if settings.contains("cookie_store: ") {
        "a cookie store, which would change how the service judges a request; leave it out".to_owned()
    } else if let Some(name) = names.find(|name| is_ours(name) && settings.contains(&format!("\"{name}\": "))) {
        format!("the default header {name}, which is the client's own; leave it out")
    } else {
        return Ok(builder.timeout(NO_LIMIT).read_timeout(NO_LIMIT));
    };
    Err(BuildError::new(BuildErrorKind::Configuration, format!("the reqwest builder has {problem}")))
}

//! One call being described: [`Request`].

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::address;
use crate::call;
use crate::core::Core;
use crate::error::{ApiError, BuildError, BuildErrorKind};
use crate::headers;
use crate::response::Response;
use crate::retry::RetryPolicy;

pub(crate) mod parts;
mod query;

use parts::RequestParts;

/// One call being described; [`send`](Self::send) or [`fetch`](Self::fetch) makes it.
///
/// What is wrong with the parts is reported by these two, as [`ApiError::Build`], before anything is sent.
#[must_use = "a request is sent by `send` or `fetch`"]
#[derive(Debug)]
pub struct Request {
    pub(crate) core: Arc<Core>,
    pub(crate) parts: Box<RequestParts>,
    /// What is wrong with the parts.
    pub(crate) problem: Option<Box<BuildError>>,
}

impl Request {
    pub(crate) fn new(core: &Arc<Core>, method: Method, path: &str) -> Self {
        let mut parts = Box::new(RequestParts {
            idempotent: method.is_idempotent(),
            method,
            url: core.base_url.clone(),
            headers: HeaderMap::new(),
            body: None,
            retry: core.retry,
            deadline: core.deadline,
            refused_path: None,
        });
        let problem = address::add_path(&mut parts.url, path).err();
        if problem.is_some() {
            parts.refused_path = Some(address::showable(path).into());
        }
        Self { core: Arc::clone(core), parts, problem }
    }

    /// Adds one segment to the path, percent-encoded, so that an id cannot change the path: `a/b` becomes `a%2Fb`.
    ///
    /// An empty segment, `.`, `..` and control characters cannot be encoded and are refused.
    pub fn segment(self, segment: impl Display) -> Self {
        self.change(|request| address::add_segment(&mut request.url, &segment.to_string()))
    }

    /// Adds to the query: anything that serialises as a flat map or as a list of pairs. `None` values are left out.
    ///
    /// ```no_run
    /// # let client = steadfast::Client::<steadfast::Stayforge>::new(steadfast::stayforge::ApiKey::new("sk_example")?)?;
    /// let request = client.get("/v1/branches").query(&[("page", 2), ("limit", 50)]);
    /// # Ok::<(), steadfast::ApiError>(())
    /// ```
    pub fn query<Q: Serialize + ?Sized>(self, query: &Q) -> Self {
        self.change(|request| {
            address::add_query(&mut request.url, &query::encoded(query)?);
            Ok(())
        })
    }

    /// Sets a header. The key's own header, `Cookie`, `Origin`, `Referer`, `Host` and those that frame the message are
    /// refused: the client answers for them.
    pub fn header(self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let header = headers::parse(&self.core.key_header, name.as_ref(), value.as_ref());
        self.change(|request| {
            let (name, value) = header?;
            request.headers.insert(name, value);
            Ok(())
        })
    }

    /// Sets the body to this value as JSON, and `Content-Type` to `application/json`.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.change(|request| {
            let json = serde_json::to_vec(value).map_err(|error| {
                BuildError::new(BuildErrorKind::Body, "the value cannot be written as JSON").with_source(error)
            })?;
            request.body = Some(json.into());
            let json = HeaderValue::from_static("application/json");
            request.headers.insert(CONTENT_TYPE, json);
            Ok(())
        })
    }

    /// Sets the body to these bytes. Give their `Content-Type` with [`header`](Self::header).
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.parts.body = Some(body.into());
        self
    }

    /// Says whether sending this request twice does the same as sending it once. Defaults to what the method says
    /// (RFC 9110 §9.2.2): GET, PUT and DELETE are idempotent, POST and PATCH are not.
    ///
    /// With `true` the request is sent again also after an answer that leaves open whether it took effect.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.parts.idempotent = idempotent;
        self
    }

    /// Sends this key as `Idempotency-Key` and marks the request as idempotent. Only for services that honour it; none of
    /// the three documents that it does.
    pub fn idempotency_key(self, key: impl AsRef<str>) -> Self {
        self.header("idempotency-key", key).idempotent(true)
    }

    /// Sets when this call is tried again. Defaults to the client's policy.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.parts.retry = policy;
        self.change(|_| match policy.contradiction() {
            Some(problem) => Err(BuildError::new(BuildErrorKind::Configuration, problem)),
            None => Ok(()),
        })
    }

    /// Sets how long this call may take, all attempts and waits included. Defaults to the client's deadline;
    /// `Duration::MAX` is none.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.parts.deadline = deadline;
        self.change(|_| {
            if deadline.is_zero() {
                return Err(BuildError::new(
                    BuildErrorKind::Configuration,
                    "deadline is zero, so the call could not succeed; Duration::MAX means no limit",
                ));
            }
            Ok(())
        })
    }

    /// Makes the call, with retries, and reads the whole answer.
    ///
    /// Dropping the future gives the call up; a request that is under way may still take effect.
    ///
    /// # Errors
    ///
    /// Any [`ApiError`]. The error's [`stop_reason`](ApiError::stop_reason) says why the call was not tried (again), its
    /// [`attempts`](ApiError::attempts) what was tried.
    pub async fn send(self) -> Result<Response, ApiError> {
        call::run(self.core, self.parts, self.problem).await
    }

    /// Makes the call, with retries, and decodes the answer from JSON; see [`Response::json`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`ApiError::Decode`] if the answer is not JSON for a `T`; that is not tried again.
    pub async fn fetch<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        call::run(self.core, self.parts, self.problem).await?.json()
    }

    fn change(mut self, change: impl FnOnce(&mut RequestParts) -> Result<(), Box<BuildError>>) -> Self {
        if self.problem.is_none() {
            self.problem = change(&mut self.parts).err();
        }
        self
    }
}

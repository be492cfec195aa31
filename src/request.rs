//! One call being described: [`Request`].

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::address;
use crate::call;
use crate::client::Core;
use crate::error::{ApiError, BuildError, BuildErrorKind};
use crate::pages::Pages;
use crate::response::Response;
use crate::retry::RetryPolicy;

mod query;

/// One call being described; [`send`](Self::send) or [`fetch`](Self::fetch) makes it.
///
/// What is wrong with the description is reported by these two, as [`ApiError::Build`], before anything is sent.
#[must_use = "a request is sent by `send` or `fetch`"]
#[derive(Debug)]
pub struct Request {
    pub(crate) core: Arc<Core>,
    pub(crate) description: Box<Description>,
    /// What is wrong with the description.
    pub(crate) problem: Option<Box<BuildError>>,
}

/// What a request is made of. In one place on the heap, since it moves from hand to hand while it is described.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) idempotent: bool,
    pub(crate) retry: RetryPolicy,
    pub(crate) deadline: Duration,
    /// The path as given, as far as an error may show it, if it cannot be sent.
    pub(crate) refused_path: Option<Box<str>>,
}

impl Request {
    pub(crate) fn new(core: &Arc<Core>, method: Method, path: &str) -> Self {
        let mut description = Box::new(Description {
            idempotent: method.is_idempotent(),
            method,
            url: core.base_url.clone(),
            headers: HeaderMap::new(),
            body: None,
            retry: core.retry,
            deadline: core.deadline,
            refused_path: None,
        });
        let problem = address::add_path(&mut description.url, path).err();
        if problem.is_some() {
            description.refused_path = Some(address::showable(path).into());
        }
        Self { core: Arc::clone(core), description, problem }
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
        let header = header(&self.core.key_header, name.as_ref(), value.as_ref());
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
        self.description.body = Some(body.into());
        self
    }

    /// Says whether sending this request twice does the same as sending it once. Defaults to what the method says
    /// (RFC 9110 §9.2.2): GET, PUT and DELETE are idempotent, POST and PATCH are not.
    ///
    /// With `true` the request is sent again also after an answer that leaves open whether it took effect.
    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.description.idempotent = idempotent;
        self
    }

    /// Sends this key as `Idempotency-Key` and marks the request as idempotent. Only for services that honour it; none of
    /// the three documents that it does.
    pub fn idempotency_key(self, key: impl AsRef<str>) -> Self {
        self.header("idempotency-key", key).idempotent(true)
    }

    /// Sets when this call is tried again. Defaults to the client's policy.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.description.retry = policy;
        self.change(|_| match policy.contradiction() {
            Some(problem) => Err(BuildError::new(BuildErrorKind::Configuration, problem)),
            None => Ok(()),
        })
    }

    /// Sets how long this call may take, all attempts and waits included. Defaults to the client's deadline;
    /// `Duration::MAX` is none.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.description.deadline = deadline;
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
        call::run(self).await
    }

    /// Makes the call, with retries, and decodes the answer from JSON; see [`Response::json`].
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`ApiError::Decode`] if the answer is not JSON for a `T`; that is not tried again.
    pub async fn fetch<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        call::run(self).await?.json()
    }

    /// Reads a list page by page, beginning with the page that the query names as `page`, or with page 1.
    pub fn pages<T: DeserializeOwned>(self) -> Pages<T> {
        Pages::new(self)
    }

    /// This request, for the page of this number.
    pub(crate) fn page(&mut self, number: u64) -> Self {
        let mut description = self.description.clone();
        address::add_query(&mut description.url, &format!("page={number}"));
        Self { core: Arc::clone(&self.core), description, problem: self.problem.take() }
    }

    fn change(mut self, change: impl FnOnce(&mut Description) -> Result<(), Box<BuildError>>) -> Self {
        if self.problem.is_none() {
            self.problem = change(&mut self.description).err();
        }
        self
    }
}

/// Whether the client answers for this header itself.
pub(crate) fn is_ours(key_header: &HeaderName, header: &HeaderName) -> bool {
    const OURS: [&str; 9] = [
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "host",
        "origin",
        "referer",
        "transfer-encoding",
        "upgrade",
    ];
    header == key_header || OURS.contains(&header.as_str())
}

/// Reads a header that a caller gives.
pub(crate) fn header(
    key_header: &HeaderName,
    name: &str,
    value: &str,
) -> Result<(HeaderName, HeaderValue), Box<BuildError>> {
    let problem = |problem: String| BuildError::new(BuildErrorKind::Header, problem);
    let header =
        HeaderName::try_from(name).map_err(|_| problem(format!("{name:?} is not a header name (RFC 9110 §5.1)")))?;
    if is_ours(key_header, &header) {
        return Err(problem(format!(
            "the header {header} is the client's own; it follows from the key, the base URL and the body"
        )));
    }
    let mut value = HeaderValue::try_from(value).map_err(|_| {
        problem(format!("the value of the header {header} holds a line end or another control character"))
    })?;
    value.set_sensitive(true);
    Ok((header, value))
}

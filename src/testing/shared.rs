//! The state that the handles to a mock and its clients share: [`Shared`].

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::{DATE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::received::Received;
use super::scripted_response::{Outcome, Plan, ScriptedResponse, content_type_of, plain};
use super::throttle::{Counter, Quota, Throttle};
use super::writer::{DocumentedErrors, ErrorWriter};
use crate::catalog::ErrorCode;
use crate::error::ApiError;
use crate::service::Service;
use crate::transport::{Body, HttpRequest};

/// A kind of mock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mock {
    Service,
    Server,
}

/// The state that the handles to a mock and its clients share.
pub(super) struct Shared<S: Service> {
    pub(super) mock: Mock,
    pub(super) base_url: Url,
    pub(super) started: Instant,
    /// The time of the mock's clock when it was started, counted from 1970.
    pub(super) unix_time: Duration,
    pub(super) in_flight: AtomicUsize,
    pub(super) state: Mutex<State<S>>,
}

/// The part of the state behind the lock.
pub(super) struct State<S: Service> {
    pub(super) lines: Vec<Line<S>>,
    pub(super) received: VecDeque<Received>,
    /// The number of requests that `received` may hold.
    pub(super) keep: usize,
    pub(super) count: usize,
    pub(super) has_unexpected: bool,
    pub(super) is_reported: bool,
    pub(super) writer: Arc<dyn ErrorWriter<S>>,
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) random: fastrand::Rng,
    pub(super) throttle: Option<Throttle>,
    pub(super) counter: Counter,
}

/// The responses to one method and path, or to all requests.
pub(super) struct Line<S: Service> {
    of: Option<(Method, String)>,
    pub(super) responses: Vec<ScriptedResponse<S>>,
}

impl<S: Service> State<S> {
    pub(super) fn new() -> Self {
        Self {
            lines: Vec::new(),
            received: VecDeque::new(),
            keep: usize::MAX,
            count: 0,
            has_unexpected: false,
            is_reported: false,
            writer: Arc::new(DocumentedErrors),
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            random: fastrand::Rng::with_seed(0),
            throttle: None,
            counter: Counter::default(),
        }
    }

    /// Returns the place of the line for this method and path, which is added if there is none.
    pub(super) fn line(&mut self, of: Option<(Method, String)>) -> usize {
        self.lines.iter().position(|line| line.of == of).unwrap_or_else(|| {
            self.lines.push(Line { of, responses: Vec::new() });
            self.lines.len().saturating_sub(1)
        })
    }

    /// Returns the next response to a request: from its own line, else from the line for all requests.
    fn next(&mut self, method: &Method, path: &str) -> Option<&mut ScriptedResponse<S>> {
        let random = &mut self.random;
        let (own, any): (Vec<_>, Vec<_>) = self.lines.iter_mut().partition(|line| line.of.is_some());
        let is_own = |line: &&mut Line<S>| line.of.as_ref().is_some_and(|(of, at)| of == method && at == path);
        let lines = own.into_iter().filter(is_own).chain(any);
        lines.flat_map(|line| &mut line.responses).find(|response| response.is_next(random))
    }

    /// Forgets the oldest requests beyond the number to keep.
    pub(super) fn trim(&mut self) {
        while self.received.len() > self.keep {
            self.received.pop_front();
        }
    }

    /// Draws a time of up to `jitter`, in whole milliseconds like tokio's clock.
    fn draw(&mut self, jitter: Duration) -> Duration {
        Duration::from_millis(self.random.u64(..=u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl<S: Service> Shared<S> {
    /// Receives a request and responds by the script.
    pub(super) async fn respond(&self, request: HttpRequest) -> Result<http::Response<Body>, ApiError> {
        let _in_flight = InFlight::new(&self.in_flight);
        let latency = {
            let mut state = self.state();
            let jitter = state.jitter;
            state.delay.saturating_add(state.draw(jitter))
        };
        let half = latency.checked_div(2).unwrap_or_default();
        pause(half).await;
        let (outcome, delay) = self.receive(request);
        pause(delay.saturating_add(half)).await;
        match outcome {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }

    /// Records a request, and returns its response and the delay of that response.
    fn receive(&self, request: HttpRequest) -> (Outcome, Duration) {
        let now = self.started.elapsed();
        let mut received = Received {
            at: now,
            path: self.path(&request.url).to_owned(),
            method: request.method,
            query: request.url.query_pairs().into_owned().collect(),
            headers: request.headers,
            body: request.body,
            status: None,
            retry_after: None,
            response: None,
        };
        let (plan, delay, quota) = {
            let mut state = self.state();
            let state = &mut *state;
            let writer = Arc::clone(&state.writer);
            let wait = state.throttle.and_then(|limit| state.counter.accept(limit, now).err());
            let (plan, delay) = if let (Some(wait), Some(limit)) = (wait, state.throttle) {
                received.response = Some("throttled".to_owned());
                received.retry_after = limit.has_retry_after.then(|| whole_seconds(wait).max(Duration::from_secs(1)));
                (Plan::Ready(Some(Ok(throttling::<S>(&*writer, received.retry_after)))), Duration::ZERO)
            } else if let Some(response) = state.next(&received.method, &received.path) {
                response.sent = response.sent.saturating_add(1);
                received.response = Some(response.name());
                received.retry_after = response.retry_after;
                let (plan, delay, jitter) = (response.plan(&*writer), response.delay, response.jitter);
                (plan, delay.saturating_add(state.draw(jitter)))
            } else {
                state.has_unexpected = true;
                (Plan::Ready(Some(Ok(unexpected(&received)))), Duration::ZERO)
            };
            let reporting = state.throttle.filter(|limit| limit.reports_quota);
            (plan, delay, reporting.map(|limit| state.counter.quota(limit, now)))
        };
        let mut outcome = plan.carry_out(&received);
        if let Some(Ok(response)) = &mut outcome {
            received.status = Some(response.status());
            if let Some(quota) = quota {
                self.add_quota(&quota, now, response.headers_mut());
            }
        }
        let mut state = self.state();
        state.count = state.count.saturating_add(1);
        state.received.push_back(received);
        state.trim();
        (outcome, delay)
    }

    /// Adds the headers that report a quota, unless the script sets them.
    fn add_quota(&self, quota: &Quota, now: Duration, headers: &mut HeaderMap) {
        let reset = whole_seconds(self.unix_time.saturating_add(quota.reset)).as_secs();
        let clock = SystemTime::UNIX_EPOCH.checked_add(self.unix_time.saturating_add(now));
        let date = clock.map(httpdate::fmt_http_date).and_then(|date| HeaderValue::try_from(date).ok());
        if let Some(date) = date {
            headers.entry(DATE).or_insert(date);
        }
        for (name, value) in [
            (HeaderName::from_static("x-ratelimit-limit"), HeaderValue::from(quota.limit)),
            (HeaderName::from_static("x-ratelimit-remaining"), HeaderValue::from(quota.remaining)),
            (HeaderName::from_static("x-ratelimit-reset"), HeaderValue::from(reset)),
        ] {
            headers.entry(name).or_insert(value);
        }
    }

    pub(super) fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// Returns the path below the base URL.
    pub(super) fn path<'a>(&self, url: &'a Url) -> &'a str {
        let base = self.base_url.path().trim_end_matches('/');
        url.path().strip_prefix(base).unwrap_or(url.path())
    }

    pub(super) fn with_line<T>(&self, at: usize, with: impl FnOnce(&mut Line<S>) -> T) -> Option<T> {
        self.state().lines.get_mut(at).map(with)
    }

    pub(super) fn writer(&self) -> Arc<dyn ErrorWriter<S>> {
        Arc::clone(&self.state().writer)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a report if the requests differ from the script.
    pub(super) fn difference(&self) -> Option<String> {
        let is_different = {
            let state = self.state();
            let mut responses = state.lines.iter().flat_map(|line| &line.responses);
            state.has_unexpected || responses.any(ScriptedResponse::is_unused)
        };
        is_different.then(|| format!("the requests differ from the script\n{self}"))
    }
}

/// The script and the requests, one below the other.
impl<S: Service> fmt::Display for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        writeln!(f, "Mock{:?} of {}\nscript:", self.mock, S::NAME)?;
        for line in &state.lines {
            match &line.of {
                Some((method, path)) => writeln!(f, "  {method} {path}")?,
                None => writeln!(f, "  any request")?,
            }
            for response in &line.responses {
                writeln!(f, "    {response}")?;
            }
        }
        writeln!(f, "received:")?;
        let omitted = state.count.saturating_sub(state.received.len());
        if omitted > 0 {
            writeln!(f, "             {omitted} earlier requests")?;
        }
        for received in &state.received {
            writeln!(f, "{received}")?;
        }
        Ok(())
    }
}

/// A request in flight, until it is dropped.
struct InFlight<'a>(&'a AtomicUsize);

impl<'a> InFlight<'a> {
    pub(super) fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Sleeps for this time, and does not yield if it is zero.
async fn pause(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// Returns this time rounded up to whole seconds.
pub(super) fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0)))
}

/// Returns the response to a throttled request: the documented error with status 429, or a plain 429 if there is none.
fn throttling<S: Service>(writer: &dyn ErrorWriter<S>, retry_after: Option<Duration>) -> http::Response<Body> {
    let is_throttling = |code: &&S::Code| code.info().status() == Some(StatusCode::TOO_MANY_REQUESTS);
    let body = match S::Code::ALL.iter().find(is_throttling) {
        Some(code) => writer.write_error(*code, retry_after),
        None => br#"{"message":"Too Many Requests"}"#.to_vec(),
    };
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS, Some(content_type_of(&body)), body.len());
    if let Some(wait) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, wait.as_secs().into());
    }
    response.map(|()| Body::from(body))
}

/// Returns the response to an unexpected request, with a status that no service uses and no policy retries.
fn unexpected(request: &Received) -> http::Response<Body> {
    let (method, path) = (&request.method, &request.path);
    let text = format!("unexpected request: {method} {path}; add a response for it to the script");
    let mut response = http::Response::new(Body::from(text));
    *response.status_mut() = StatusCode::IM_A_TEAPOT;
    response
}

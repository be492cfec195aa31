//! The state that the handles to a mock and its clients share: [`Shared`].

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::{DATE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use tokio::time::Instant;
use url::Url;

use super::line::{Condition, Line};
use super::plan::{Plan, failure};
use super::received::Received;
use super::scripted_response::{Outcome, ScriptedResponse};
use super::throttle::{Counter, Quota, Throttle};
use super::writer::{DocumentedErrors, ErrorWriter};
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
    /// A request was unexpected, or a closure of the test panicked.
    pub(super) has_failed: bool,
    pub(super) is_reported: bool,
    pub(super) writer: Arc<dyn ErrorWriter<S>>,
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) random: fastrand::Rng,
    pub(super) throttle: Option<Throttle>,
    pub(super) counter: Counter,
}

impl<S: Service> State<S> {
    pub(super) fn new() -> Self {
        Self {
            lines: Vec::new(),
            received: VecDeque::new(),
            keep: usize::MAX,
            count: 0,
            has_failed: false,
            is_reported: false,
            writer: Arc::new(DocumentedErrors),
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            random: fastrand::Rng::with_seed(0),
            throttle: None,
            counter: Counter::default(),
        }
    }

    /// Returns the place of the line for this method and path without conditions, which is added if there is none.
    pub(super) fn line(&mut self, of: Option<(Method, String)>) -> usize {
        let present = self.lines.iter().position(|line| line.of == of && line.conditions.is_empty());
        present.unwrap_or_else(|| self.add_line(Line::new(of, Vec::new())))
    }

    /// Adds a line. Returns its place.
    pub(super) fn add_line(&mut self, line: Line<S>) -> usize {
        self.lines.push(line);
        self.lines.len().saturating_sub(1)
    }

    /// Returns the next response to a request. `met` contains the places of the lines whose conditions it meets.
    fn next(&mut self, request: &Received, met: &[usize]) -> Option<&mut ScriptedResponse<S>> {
        let random = &mut self.random;
        let applies = |(at, line): &(usize, &mut Line<S>)| {
            line.covers(request) && (line.conditions.is_empty() || met.contains(at))
        };
        let mut lines: Vec<_> = self.lines.iter_mut().enumerate().filter(applies).map(|(_, line)| line).collect();
        lines.sort_by_key(|line| line.rank());
        lines.into_iter().flat_map(|line| &mut line.responses).find(|response| response.is_next(random))
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
        let planned = self.met(&received).map(|met| self.plan(&mut received, &met));
        let (made, delay, quota) = match planned {
            Ok((plan, delay, quota)) => (plan.carry_out(&received, &*self.writer()), delay, quota),
            Err(panic) => (Err(panic), Duration::ZERO, None),
        };
        let has_panicked = made.is_err();
        let mut outcome = made.unwrap_or_else(|panic| {
            received.response = Some(format!("FAILED, {panic}"));
            Some(Ok(failure(panic)))
        });
        if let Some(Ok(response)) = &mut outcome {
            received.status = Some(response.status());
            if let Some(quota) = quota {
                self.add_quota(&quota, now, response.headers_mut());
            }
        }
        let mut state = self.state();
        state.has_failed |= has_panicked;
        state.count = state.count.saturating_add(1);
        state.received.push_back(received);
        state.trim();
        (outcome, delay)
    }

    /// Returns the places of the lines whose conditions a request meets, or the message of a panic.
    ///
    /// The conditions are closures of the test, so they are called while the script is not locked.
    fn met(&self, request: &Received) -> Result<Vec<usize>, String> {
        let conditional: Vec<_> = {
            let state = self.state();
            let lines = state.lines.iter().enumerate();
            let lines =
                lines.filter(|(_, line)| !line.conditions.is_empty() && line.has_left() && line.covers(request));
            lines.map(|(at, line)| (at, line.conditions.clone())).collect()
        };
        let mut met = Vec::new();
        for (at, conditions) in conditional {
            // A later condition may rely on the earlier ones.
            let mut holds = true;
            for condition in conditions {
                holds = holds && condition.holds(request)?;
            }
            if holds {
                met.push(at);
            }
        }
        Ok(met)
    }

    /// Takes the next response to a request from the script. Returns it with its delay and the quota to report.
    fn plan(&self, received: &mut Received, met: &[usize]) -> (Plan<S>, Duration, Option<Quota>) {
        let mut state = self.state();
        let state = &mut *state;
        let now = received.at;
        let wait = state.throttle.and_then(|limit| state.counter.accept(limit, now).err());
        let (plan, delay) = if let (Some(wait), Some(limit)) = (wait, state.throttle) {
            received.response = Some("throttled".to_owned());
            received.retry_after = limit.has_retry_after.then(|| whole_seconds(wait).max(Duration::from_secs(1)));
            (Plan::Throttle { retry_after: received.retry_after }, Duration::ZERO)
        } else if let Some(response) = state.next(received, met) {
            response.sent = response.sent.saturating_add(1);
            received.response = Some(response.name());
            received.retry_after = response.retry_after;
            let (plan, delay, jitter) = (response.plan(), response.delay, response.jitter);
            (plan, delay.saturating_add(state.draw(jitter)))
        } else {
            state.has_failed = true;
            (Plan::Reject, Duration::ZERO)
        };
        let reporting = state.throttle.filter(|limit| limit.reports_quota);
        (plan, delay, reporting.map(|limit| state.counter.quota(limit, now)))
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

    /// Adds a line with the conditions of the one at this place and one more. Returns its place.
    pub(super) fn narrow(&self, at: usize, condition: Condition) -> usize {
        let mut state = self.state();
        let (of, mut conditions) =
            state.lines.get(at).map(|line| (line.of.clone(), line.conditions.clone())).unwrap_or_default();
        conditions.push(condition);
        state.add_line(Line::new(of, conditions))
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
            state.has_failed || responses.any(ScriptedResponse::is_unused)
        };
        is_different.then(|| format!("the requests differ from the script\n{self}"))
    }
}

/// The script and the requests, one below the other.
impl<S: Service> fmt::Display for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        writeln!(f, "Mock{:?} of {}\nscript:", self.mock, S::NAME)?;
        for line in state.lines.iter().filter(|line| !line.responses.is_empty()) {
            write!(f, "{line}")?;
        }
        writeln!(f, "received:")?;
        let omitted = state.count.saturating_sub(state.received.len());
        if omitted > 0 {
            writeln!(f, "             {omitted} earlier requests")?;
        }
        if state.count == 0 {
            writeln!(f, "  nothing")?;
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

//! The script of a mock, and the requests that the mock received: [`Script`].

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
use super::route::Route;
use super::scripted_response::{Outcome, Plan, ScriptedResponse, content_type_of, plain};
use super::throttle::{Counter, Quota, Throttle};
use super::writer::{DocumentedErrors, ErrorWriter};
use crate::address;
use crate::catalog::ErrorCode;
use crate::error::ApiError;
use crate::service::Service;
use crate::transport::{Body, HttpRequest};

/// The script of a mock, and the requests that the mock received. [`MockService`](super::MockService) and
/// [`MockServer`](super::MockServer) dereference to it.
///
/// A request receives the next response that is left for its method and path. If there is none, it receives the next
/// response of [`any`](Self::any). If there is none either, it receives status 418 and fails the test.
pub struct Script<S: Service> {
    shared: Arc<Shared<S>>,
}

impl<S: Service> Script<S> {
    #[expect(clippy::panic, reason = "a test kit fails the test")]
    pub(super) fn new(mock: Mock) -> Self {
        let base_url = Url::parse(S::BASE_URL).unwrap_or_else(|error| panic!("{}'s BASE_URL: {error}", S::NAME));
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let shared = Shared {
            mock,
            base_url,
            started: Instant::now(),
            // In whole seconds, so that the same delays always give the same dates.
            unix_time: Duration::from_secs(since_1970.as_secs()),
            in_flight: AtomicUsize::new(0),
            state: Mutex::new(State::new()),
        };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn shared(&self) -> &Arc<Shared<S>> {
        &self.shared
    }

    /// Returns the route of GET requests for this path, to add responses to it.
    ///
    /// # Panics
    ///
    /// As [`on`](Self::on).
    #[track_caller]
    #[must_use]
    pub fn get(&self, path: &str) -> Route<'_, S> {
        self.on(Method::GET, path)
    }

    /// Returns the route of POST requests for this path.
    ///
    /// # Panics
    ///
    /// As [`on`](Self::on).
    #[track_caller]
    #[must_use]
    pub fn post(&self, path: &str) -> Route<'_, S> {
        self.on(Method::POST, path)
    }

    /// Returns the route of PUT requests for this path.
    ///
    /// # Panics
    ///
    /// As [`on`](Self::on).
    #[track_caller]
    #[must_use]
    pub fn put(&self, path: &str) -> Route<'_, S> {
        self.on(Method::PUT, path)
    }

    /// Returns the route of PATCH requests for this path.
    ///
    /// # Panics
    ///
    /// As [`on`](Self::on).
    #[track_caller]
    #[must_use]
    pub fn patch(&self, path: &str) -> Route<'_, S> {
        self.on(Method::PATCH, path)
    }

    /// Returns the route of DELETE requests for this path.
    ///
    /// # Panics
    ///
    /// As [`on`](Self::on).
    #[track_caller]
    #[must_use]
    pub fn delete(&self, path: &str) -> Route<'_, S> {
        self.on(Method::DELETE, path)
    }

    /// Returns the route of requests with this method and path. The path is the one given to the client, without a
    /// query. [`received`](Self::received) reports the queries.
    ///
    /// # Panics
    ///
    /// If the client would reject the path, or the path contains a query.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test kit fails the test")]
    #[must_use]
    pub fn on(&self, method: Method, path: &str) -> Route<'_, S> {
        let mut url = self.shared.base_url.clone();
        assert!(!path.contains('?'), "the path contains a query: {path:?}; remove it and check it with `received`");
        if let Err(problem) = address::add_path(&mut url, path) {
            panic!("{path:?} cannot be scripted: {}", problem.of(S::NAME));
        }
        self.route(Some((method, self.shared.path(&url).to_owned())))
    }

    /// Returns the route of all requests for which no other response is left.
    #[must_use]
    pub fn any(&self) -> Route<'_, S> {
        self.route(None)
    }

    /// Sets the writer of documented errors. Defaults to [`DocumentedErrors`].
    pub fn write_errors(&self, writer: impl ErrorWriter<S>) {
        self.shared.state().writer = Arc::new(writer);
    }

    /// Delays every response by this time, half of it before the request arrives and half after it. Defaults to zero.
    ///
    /// The delay of a single response ([`Route::delay`]) comes on top.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.any().empty(204);
    /// service.delay(Duration::from_millis(80));
    ///
    /// let response = service.client().get("/documents").send().await?;
    ///
    /// assert_eq!(response.elapsed(), Duration::from_millis(80));
    /// assert_eq!(service.received()[0].at, Duration::from_millis(40));
    /// # Ok(()) }
    /// ```
    pub fn delay(&self, delay: Duration) {
        self.shared.state().delay = delay;
    }

    /// Adds a random time of up to this, in whole milliseconds, to every [`delay`](Self::delay). Defaults to zero.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.any().empty(204).always();
    /// service.delay(Duration::from_millis(50));
    /// service.jitter(Duration::from_millis(100));
    ///
    /// let client = service.client();
    /// for _ in 0..100 {
    ///     let response = client.get("/documents").send().await?;
    ///     assert!((50..=152).contains(&response.elapsed().as_millis()));
    /// }
    /// # Ok(()) }
    /// ```
    pub fn jitter(&self, jitter: Duration) {
        self.shared.state().jitter = jitter;
    }

    /// Sets the seed of the random numbers for jitter and chances. Defaults to 0, so that every run of a test draws the
    /// same numbers.
    ///
    /// ```
    /// use steadfast::testing::MockService;
    /// use steadfast::{Abaco, RetryPolicy};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// async fn failures(seed: u64) -> usize {
    ///     let service = MockService::<Abaco>::new();
    ///     service.seed(seed);
    ///     service.any().html(503).chance(0.5).empty(204).always();
    ///     let client = service.builder().retry(RetryPolicy::disabled()).build().unwrap();
    ///     let mut failures = 0;
    ///     for _ in 0..20 {
    ///         failures += usize::from(client.get("/documents").send().await.is_err());
    ///     }
    ///     failures
    /// }
    /// assert_eq!(failures(7).await, failures(7).await);
    /// # }
    /// ```
    pub fn seed(&self, seed: u64) {
        self.shared.state().random = fastrand::Rng::with_seed(seed);
    }

    /// Sets the rate limit of the mock, or removes it with `None`. Defaults to none.
    ///
    /// Throttled requests consume no response of the script. Requests that were counted before count towards the new
    /// limit as well. See [`Throttle`] for an example.
    pub fn throttle(&self, limit: impl Into<Option<Throttle>>) {
        self.shared.state().throttle = limit.into();
    }

    /// Removes all responses from the script, including unused ones. The requests received so far stay.
    ///
    /// ```
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// let client = service.client();
    /// service.any().html(503).always();
    /// assert!(client.get("/documents").send().await.is_err());
    ///
    /// // The service has recovered.
    /// service.clear();
    /// service.any().empty(204).always();
    /// client.get("/documents").send().await?;
    /// # Ok(()) }
    /// ```
    pub fn clear(&self) {
        // Routes keep their places, because a `Route` may still refer to one.
        for line in &mut self.shared.state().lines {
            line.responses.clear();
        }
    }

    /// Returns the requests that arrived, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.state().received.iter().cloned().collect()
    }

    /// Returns the number of requests that arrived.
    #[must_use]
    pub fn request_count(&self) -> usize {
        self.shared.state().count
    }

    /// Returns the number of requests that have been sent and whose response has not begun.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let service = MockService::<Abaco>::new();
    /// service.any().hangs();
    /// let call = tokio::spawn(service.client().get("/documents").send());
    /// tokio::time::sleep(Duration::from_secs(1)).await;
    /// assert_eq!(service.in_flight(), 1);
    ///
    /// call.abort();
    /// assert!(call.await.is_err());
    /// assert_eq!(service.in_flight(), 0);
    /// # }
    /// ```
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Limits [`received`](Self::received) to the last requests, for tests with very many of them. Defaults to all.
    ///
    /// ```
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.any().empty(204).always();
    /// service.keep_received(1);
    ///
    /// let client = service.client();
    /// for page in 1..=1_000 {
    ///     client.get("/documents").query(&[("page", page)]).send().await?;
    /// }
    /// assert_eq!(service.request_count(), 1_000);
    /// assert_eq!(service.received()[0].query, [("page".to_owned(), "1000".to_owned())]);
    /// # Ok(()) }
    /// ```
    pub fn keep_received(&self, requests: usize) {
        let mut state = self.shared.state();
        state.keep = requests;
        state.trim();
    }

    /// Checks now that every response was used and every request expected. Otherwise this happens when the last handle
    /// to the mock is dropped.
    ///
    /// # Panics
    ///
    /// If the requests differ from the script. The message shows the script and the requests.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test kit fails the test")]
    pub fn verify(&self) {
        if let Some(report) = self.shared.difference() {
            self.shared.state().is_reported = true;
            panic!("{report}");
        }
    }

    fn route(&self, of: Option<(Method, String)>) -> Route<'_, S> {
        let at = self.shared.state().line(of);
        Route { shared: &self.shared, at }
    }
}

impl<S: Service> fmt::Debug for Script<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.shared, f)
    }
}

impl<S: Service> Drop for Script<S> {
    fn drop(&mut self) {
        if self.shared.state().is_reported {
            return;
        }
        if !std::thread::panicking() {
            self.verify();
        } else if let Some(report) = self.shared.difference() {
            // A second panic would abort the process. The report may explain the first.
            eprintln!("{report}");
        }
    }
}

/// A kind of mock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mock {
    Service,
    Server,
}

/// The state that the handles to a mock and its clients share.
pub(super) struct Shared<S: Service> {
    pub(super) mock: Mock,
    base_url: Url,
    started: Instant,
    /// The time of the mock's clock when it was started, counted from 1970.
    unix_time: Duration,
    in_flight: AtomicUsize,
    state: Mutex<State<S>>,
}

struct State<S: Service> {
    lines: Vec<Line<S>>,
    received: VecDeque<Received>,
    /// The number of requests that `received` may hold.
    keep: usize,
    count: usize,
    has_unexpected: bool,
    is_reported: bool,
    writer: Arc<dyn ErrorWriter<S>>,
    delay: Duration,
    jitter: Duration,
    random: fastrand::Rng,
    throttle: Option<Throttle>,
    counter: Counter,
}

/// The responses to one method and path, or to all requests.
pub(super) struct Line<S: Service> {
    of: Option<(Method, String)>,
    pub(super) responses: Vec<ScriptedResponse<S>>,
}

impl<S: Service> State<S> {
    fn new() -> Self {
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
    fn line(&mut self, of: Option<(Method, String)>) -> usize {
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
    fn trim(&mut self) {
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
    fn path<'a>(&self, url: &'a Url) -> &'a str {
        let base = self.base_url.path().trim_end_matches('/');
        url.path().strip_prefix(base).unwrap_or(url.path())
    }

    pub(super) fn with_line<T>(&self, at: usize, with: impl FnOnce(&mut Line<S>) -> T) -> Option<T> {
        self.state().lines.get_mut(at).map(with)
    }

    pub(super) fn writer(&self) -> Arc<dyn ErrorWriter<S>> {
        Arc::clone(&self.state().writer)
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a report if the requests differ from the script.
    fn difference(&self) -> Option<String> {
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
    fn new(count: &'a AtomicUsize) -> Self {
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

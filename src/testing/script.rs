//! The script of a mock, and the requests that the mock received: [`Script`].

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::Method;
use tokio::time::Instant;
use url::Url;

use super::received::Received;
use super::route::Route;
use super::shared::{Mock, Shared, State};
use super::throttle::Throttle;
use super::writer::ErrorWriter;
use crate::address;
use crate::service::Service;

/// The script of a mock, and the requests that the mock received. [`MockService`](super::MockService) and
/// [`MockServer`](super::MockServer) dereference to it.
///
/// A request receives the next response that is left for its method and path: of a route whose condition it meets
/// ([`Route::when`]), or else of the route without a condition. If there is none, it receives the next response of
/// [`any`](Self::any). If there is none either, it receives status 418 and fails the test.
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
    /// Panics as [`on`](Self::on) does.
    #[track_caller]
    #[must_use]
    pub fn get(&self, path: &str) -> Route<'_, S> {
        self.on(Method::GET, path)
    }

    /// Returns the route of POST requests for this path.
    ///
    /// # Panics
    ///
    /// Panics as [`on`](Self::on) does.
    #[track_caller]
    #[must_use]
    pub fn post(&self, path: &str) -> Route<'_, S> {
        self.on(Method::POST, path)
    }

    /// Returns the route of PUT requests for this path.
    ///
    /// # Panics
    ///
    /// Panics as [`on`](Self::on) does.
    #[track_caller]
    #[must_use]
    pub fn put(&self, path: &str) -> Route<'_, S> {
        self.on(Method::PUT, path)
    }

    /// Returns the route of PATCH requests for this path.
    ///
    /// # Panics
    ///
    /// Panics as [`on`](Self::on) does.
    #[track_caller]
    #[must_use]
    pub fn patch(&self, path: &str) -> Route<'_, S> {
        self.on(Method::PATCH, path)
    }

    /// Returns the route of DELETE requests for this path.
    ///
    /// # Panics
    ///
    /// Panics as [`on`](Self::on) does.
    #[track_caller]
    #[must_use]
    pub fn delete(&self, path: &str) -> Route<'_, S> {
        self.on(Method::DELETE, path)
    }

    /// Returns the route of requests with this method and path. The path is the one given to the client, without a
    /// query. [`Route::when`] matches queries, and [`received`](Self::received) reports them. A template such as
    /// `/documents/{id}` matches no other path; [`any`](Self::any) with a condition matches several.
    ///
    /// # Panics
    ///
    /// Panics if the client would reject the path, or the path contains a query.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test kit fails the test")]
    #[must_use]
    pub fn on(&self, method: Method, path: &str) -> Route<'_, S> {
        let mut url = self.shared.base_url.clone();
        assert!(!path.contains('?'), "the path contains a query: {path:?}; remove it and match it with `when`");
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

    /// Sets the writer of documented errors, their bodies and their headers. Defaults to
    /// [`DocumentedErrors`](super::DocumentedErrors).
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
    /// Panics if the requests differ from the script. The message shows the script and the requests.
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
        Route { shared: &self.shared, at, has_added: false }
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

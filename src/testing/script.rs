//! What a stand-in is to answer, and what it received: [`Script`].

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::answer::Answer;
use super::received::Received;
use super::route::Route;
use super::writer::{DocumentedErrors, ErrorWriter};
use crate::address;
use crate::error::ApiError;
use crate::service::Service;
use crate::transport::{Body, HttpRequest};

/// What a stand-in is to answer, and what it received. [`MockService`](super::MockService) and
/// [`MockServer`](super::MockServer) dereference to it.
///
/// A request gets the next answer that is left for its method and path; if there is none, the next of
/// [`any`](Self::any). A request that nothing is left for is answered with status 418 and fails the test.
pub struct Script<S: Service> {
    shared: Arc<Shared<S>>,
}

impl<S: Service> Script<S> {
    #[expect(clippy::panic, reason = "a test kit fails the test")]
    pub(super) fn new(stand_in: &'static str) -> Self {
        let base_url = Url::parse(S::BASE_URL).unwrap_or_else(|error| panic!("{}'s BASE_URL: {error}", S::NAME));
        let shared = Shared { stand_in, base_url, began: Instant::now(), state: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn shared(&self) -> &Arc<Shared<S>> {
        &self.shared
    }

    /// Goes on with the answers to GETs of this path, given as it is given to the client.
    #[track_caller]
    #[must_use]
    pub fn get(&self, path: &str) -> Route<'_, S> {
        self.on(Method::GET, path)
    }

    /// Goes on with the answers to POSTs of this path.
    #[track_caller]
    #[must_use]
    pub fn post(&self, path: &str) -> Route<'_, S> {
        self.on(Method::POST, path)
    }

    /// Goes on with the answers to PUTs of this path.
    #[track_caller]
    #[must_use]
    pub fn put(&self, path: &str) -> Route<'_, S> {
        self.on(Method::PUT, path)
    }

    /// Goes on with the answers to `PATCHes` of this path.
    #[track_caller]
    #[must_use]
    pub fn patch(&self, path: &str) -> Route<'_, S> {
        self.on(Method::PATCH, path)
    }

    /// Goes on with the answers to DELETEs of this path.
    #[track_caller]
    #[must_use]
    pub fn delete(&self, path: &str) -> Route<'_, S> {
        self.on(Method::DELETE, path)
    }

    /// Goes on with the answers to requests of this method and path. The query is left out: [`received`](Self::received)
    /// tells it.
    ///
    /// # Panics
    ///
    /// If the client would refuse the path.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test kit fails the test")]
    #[must_use]
    pub fn on(&self, method: Method, path: &str) -> Route<'_, S> {
        let mut url = self.shared.base_url.clone();
        assert!(!path.contains('?'), "{path:?} holds a query, which a script does not go by; `received` tells it");
        if let Err(problem) = address::add_path(&mut url, path) {
            panic!("{path:?} cannot be scripted: {}", problem.of(S::NAME));
        }
        self.route(Some((method, self.shared.path(&url).to_owned())))
    }

    /// Goes on with the answers to all requests that nothing else is left for.
    #[must_use]
    pub fn any(&self) -> Route<'_, S> {
        self.route(None)
    }

    /// Sets the writer of documented errors. Defaults to [`DocumentedErrors`].
    pub fn write_errors(&self, writer: impl ErrorWriter<S>) {
        self.shared.state().writer = Arc::new(writer);
    }

    /// Returns the requests that arrived, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.state().received.clone()
    }

    /// Checks now that every answer was asked for and every request foreseen. Otherwise this happens when the last handle
    /// to the stand-in is dropped.
    ///
    /// # Panics
    ///
    /// If that is not so; the message shows the script and the requests.
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
            // A second panic would end the process. The report may explain the first.
            eprintln!("{report}");
        }
    }
}

/// What the handles to a stand-in and its clients share.
pub(super) struct Shared<S: Service> {
    stand_in: &'static str,
    base_url: Url,
    began: Instant,
    state: Mutex<State<S>>,
}

struct State<S: Service> {
    lines: Vec<Line<S>>,
    received: Vec<Received>,
    is_reported: bool,
    pub(super) writer: Arc<dyn ErrorWriter<S>>,
}

impl<S: Service> Default for State<S> {
    fn default() -> Self {
        Self { lines: Vec::new(), received: Vec::new(), is_reported: false, writer: Arc::new(DocumentedErrors) }
    }
}

/// The answers to one method and path, or to all requests.
pub(super) struct Line<S: Service> {
    of: Option<(Method, String)>,
    pub(super) answers: Vec<Answer<S>>,
}

impl<S: Service> State<S> {
    /// The place of the line for this method and path, which is made if there is none.
    fn line(&mut self, of: Option<(Method, String)>) -> usize {
        self.lines.iter().position(|line| line.of == of).unwrap_or_else(|| {
            self.lines.push(Line { of, answers: Vec::new() });
            self.lines.len().saturating_sub(1)
        })
    }

    /// The next answer to a request: from its own line, else from the line for all.
    fn next(&mut self, method: &Method, path: &str) -> Option<&mut Answer<S>> {
        let is_own = |line: &Line<S>| line.of.as_ref().is_some_and(|(of, at)| of == method && at == path);
        let is_left = |line: &Line<S>| line.answers.iter().any(Answer::is_left);
        let own = self.lines.iter().position(|line| is_own(line) && is_left(line));
        let at = own.or_else(|| self.lines.iter().position(|line| line.of.is_none() && is_left(line)))?;
        self.lines.get_mut(at)?.answers.iter_mut().find(|answer| answer.is_left())
    }
}

impl<S: Service> Shared<S> {
    /// Takes a request and answers it by the script.
    pub(super) async fn answer(&self, request: HttpRequest) -> Result<http::Response<Body>, ApiError> {
        let path = self.path(&request.url).to_owned();
        let mut received = Received {
            at: self.began.elapsed(),
            method: request.method,
            path,
            query: request.url.query_pairs().into_owned().collect(),
            headers: request.headers,
            body: request.body,
            answer: None,
        };
        let (outcome, delay) = {
            let mut state = self.state();
            let writer = Arc::clone(&state.writer);
            let answer = state.next(&received.method, &received.path).map(|answer| {
                answer.sent = answer.sent.saturating_add(1);
                received.answer = Some(answer.name());
                (answer.outcome(&*writer), answer.delay)
            });
            let answer = answer.unwrap_or_else(|| (Ok(unexpected(&received)), Duration::ZERO));
            state.received.push(received);
            answer
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        outcome
    }

    pub(super) fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// The path below the base URL.
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

    /// What differs between script and requests; `None` if nothing does.
    fn difference(&self) -> Option<String> {
        let is_met = {
            let state = self.state();
            let answers = state.lines.iter().flat_map(|line| &line.answers);
            !answers.into_iter().any(Answer::is_unmet)
                && state.received.iter().all(|received| received.answer.is_some())
        };
        (!is_met).then(|| format!("the requests are not those of the script\n{self}"))
    }
}

/// Script and requests, one under the other.
impl<S: Service> fmt::Display for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        writeln!(f, "{} of {}\nscript:", self.stand_in, S::NAME)?;
        for line in &state.lines {
            match &line.of {
                Some((method, path)) => writeln!(f, "  {method} {path}")?,
                None => writeln!(f, "  any request")?,
            }
            for answer in &line.answers {
                writeln!(f, "    {answer}")?;
            }
        }
        writeln!(f, "received:")?;
        for received in &state.received {
            writeln!(f, "{received}")?;
        }
        Ok(())
    }
}

/// The answer to a request for which nothing is left: under a status that no service uses and no policy tries again.
fn unexpected(request: &Received) -> http::Response<Body> {
    let text = format!("no answer is left for {} {} in the script", request.method, request.path);
    let mut response = http::Response::new(Body::from(text));
    *response.status_mut() = StatusCode::IM_A_TEAPOT;
    response
}

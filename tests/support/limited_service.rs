//! A service in memory that limits its callers, as a transport for calls on virtual time.
#![allow(dead_code, unreachable_pub, reason = "each test uses its own part")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Response;
use steadfast::Transport;
use steadfast::transport::{Body, HttpRequest, SendFuture};
use tokio::time::{Instant, sleep};

/// How a service limits its callers.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// So many requests in each window; windows follow one another from the first request on.
    Fixed { requests: usize, window: Duration },
    /// So many requests in any stretch of time of this length.
    Rolling { requests: usize, window: Duration },
    /// Tokens that come in steadily, up to a burst.
    Bucket { per_second: f64, burst: f64 },
}

/// A service that takes requests up to its limit and refuses others with 429 and an integer `Retry-After`.
#[derive(Clone)]
pub struct LimitedService(Arc<Inner>);

struct Inner {
    limit: Mutex<Limit>,
    latency: Duration,
    tells_quota: bool,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: VecDeque<Instant>,
    window: Option<Instant>,
    tokens: Option<(f64, Instant)>,
    log: Vec<(Duration, bool)>,
    /// No request may come before this, if any caller keeps to what it was told.
    asked: Option<Instant>,
    too_early: usize,
}

impl LimitedService {
    pub fn new(limit: Limit, latency: Duration) -> Self {
        Self::build(limit, latency, false)
    }

    /// Tells `X-RateLimit-Remaining` and `-Reset` with every answer.
    pub fn telling_its_quota(limit: Limit, latency: Duration) -> Self {
        Self::build(limit, latency, true)
    }

    fn build(limit: Limit, latency: Duration, tells_quota: bool) -> Self {
        let (limit, state) = (Mutex::new(limit), Mutex::default());
        Self(Arc::new(Inner { limit, latency, tells_quota, began: Instant::now(), state }))
    }

    pub fn change_limit(&self, limit: Limit) {
        *self.0.limit.lock().expect("no panic") = limit;
    }

    /// When each request came and whether it was taken.
    pub fn log(&self) -> Vec<(Duration, bool)> {
        self.0.state.lock().expect("no panic").log.clone()
    }

    pub fn requests(&self) -> usize {
        self.log().len()
    }

    pub fn refusals(&self) -> usize {
        self.log().iter().filter(|(_, taken)| !taken).count()
    }

    /// How many requests were sent after a refusal had been received and before its wait was over.
    pub fn too_early(&self) -> usize {
        self.0.state.lock().expect("no panic").too_early
    }
}

impl State {
    /// Takes a request or says how long to wait.
    fn take(&mut self, limit: Limit, now: Instant) -> Result<(), Duration> {
        match limit {
            Limit::Fixed { requests, window } => {
                let began = *self.window.get_or_insert(now);
                let windows = now.duration_since(began).as_nanos() / window.as_nanos();
                if windows > 0 {
                    self.window = Some(began + window * u32::try_from(windows).expect("not so many"));
                    self.taken.clear();
                }
                if self.taken.len() < requests {
                    self.taken.push_back(now);
                    return Ok(());
                }
                Err(self.window.expect("it began") + window - now)
            }
            Limit::Rolling { requests, window } => {
                while self.taken.front().is_some_and(|time| now.duration_since(*time) >= window) {
                    self.taken.pop_front();
                }
                if self.taken.len() < requests {
                    self.taken.push_back(now);
                    return Ok(());
                }
                Err(self.taken[self.taken.len() - requests] + window - now)
            }
            Limit::Bucket { per_second, burst } => {
                let (tokens, since) = self.tokens.unwrap_or((burst, now));
                let tokens = burst.min(tokens + now.duration_since(since).as_secs_f64() * per_second);
                if tokens >= 1.0 {
                    self.tokens = Some((tokens - 1.0, now));
                    return Ok(());
                }
                self.tokens = Some((tokens, now));
                Err(Duration::from_secs_f64((1.0 - tokens) / per_second))
            }
        }
    }

    /// How many more requests are taken in the present window, and until when.
    fn quota(&self, limit: Limit, now: Instant) -> (usize, Instant) {
        match limit {
            Limit::Fixed { requests, window } => {
                (requests.saturating_sub(self.taken.len()), self.window.unwrap_or(now) + window)
            }
            Limit::Rolling { requests, window } => (requests.saturating_sub(self.taken.len()), now + window),
            Limit::Bucket { per_second, .. } => {
                let tokens = self.tokens.map_or(0.0, |(tokens, _)| tokens);
                (tokens as usize, now + Duration::from_secs_f64(1.0 / per_second))
            }
        }
    }
}

/// The time that the service's clock shows at its beginning: Sun, 06 Nov 1994 08:49:37 GMT.
const EPOCH: u64 = 784_111_777;

impl Transport for LimitedService {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        Box::pin(async move {
            let inner = &*self.0;
            {
                let mut state = inner.state.lock().expect("no panic");
                if state.asked.is_some_and(|asked| Instant::now() < asked) {
                    state.too_early += 1;
                }
            }
            sleep(inner.latency / 2).await;
            let now = Instant::now();
            let limit = *inner.limit.lock().expect("no panic");
            let (result, (remaining, reset)) = {
                let mut state = inner.state.lock().expect("no panic");
                let result = state.take(limit, now);
                state.log.push((now - inner.began, result.is_ok()));
                (result, state.quota(limit, now))
            };
            sleep(inner.latency - inner.latency / 2).await;
            let mut response = Response::builder();
            if inner.tells_quota {
                let clock = EPOCH + (now - inner.began).as_secs();
                let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(clock));
                let reset = EPOCH + (reset - inner.began).as_secs_f64().ceil() as u64;
                response = response
                    .header("date", date)
                    .header("x-ratelimit-remaining", remaining)
                    .header("x-ratelimit-reset", reset);
            }
            let Err(wait) = result else {
                return Ok(response.body(Body::from("{}")).expect("a response"));
            };
            let wait = wait.as_secs_f64().ceil().max(1.0) as u64;
            let mut state = inner.state.lock().expect("no panic");
            state.asked = state.asked.max(Some(Instant::now() + Duration::from_secs(wait)));
            let body = r#"{"message": "Demasiadas solicitudes", "code": "RATE_LIMIT_EXCEEDED"}"#;
            let response = response.status(429).header("retry-after", wait);
            Ok(response.body(Body::from(body)).expect("a response"))
        })
    }
}

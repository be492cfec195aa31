//! A service in memory that limits its callers, as a transport for calls on virtual time.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "each test uses its own part"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Response;
use steadfast::Transport;
use steadfast::transport::{Body, HttpRequest, SendFuture};
use tokio::time::{Instant, sleep};

pub use super::limiter::{Limit, Limiter};

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
    limiter: Limiter,
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
                let result = state.limiter.take(limit, now);
                state.log.push((now - inner.began, result.is_ok()));
                (result, state.limiter.quota(limit, now))
            };
            sleep(inner.latency / 2).await;
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

//! The local service that all clients call.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::limiter::{Limit, Limiter};

#[derive(Clone, Copy)]
pub enum Behavior {
    /// Responds to requests over the limit with 429 and an integer `Retry-After`.
    Limited(Limit),
    /// Responds to every request with 500.
    Down,
    /// Responds to one request in ten with 503.
    Flaky,
}

pub struct Service {
    server: MockServer,
    state: Arc<Mutex<State>>,
}

struct State {
    behavior: Behavior,
    limiter: Limiter,
    random: fastrand::Rng,
    began: Option<Instant>,
    log: Vec<(Duration, u16)>,
}

impl Service {
    pub async fn start(behavior: Behavior) -> Self {
        let state = State {
            behavior,
            limiter: Limiter::default(),
            random: fastrand::Rng::with_seed(1),
            began: None,
            log: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let server = MockServer::builder().disable_request_recording().start().await;
        Mock::given(any()).respond_with(Responder(Arc::clone(&state))).mount(&server).await;
        Self { server, state }
    }

    pub fn url(&self) -> String {
        self.server.uri()
    }

    /// Returns the arrival time of each request, counted from the first one, and the status of its response.
    pub fn log(&self) -> Vec<(Duration, u16)> {
        self.state.lock().expect("no panic").log.clone()
    }
}

struct Responder(Arc<Mutex<State>>);

impl Respond for Responder {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().expect("no panic");
        let state = &mut *state;
        let now = Instant::now();
        let (status, wait) = match state.behavior {
            Behavior::Limited(limit) => match state.limiter.take(limit, now) {
                Ok(()) => (200, None),
                Err(wait) => (429, Some(wait.as_secs_f64().ceil().max(1.0))),
            },
            Behavior::Down => (500, None),
            Behavior::Flaky => (if state.random.u8(..10) == 0 { 503 } else { 200 }, None),
        };
        let began = *state.began.get_or_insert(now);
        state.log.push((now.saturating_duration_since(began), status));
        let response = ResponseTemplate::new(status).set_body_string("{}");
        match wait {
            Some(seconds) => response.insert_header("retry-after", format!("{seconds}")),
            None => response,
        }
    }
}

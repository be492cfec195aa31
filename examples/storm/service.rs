//! The local service that all policies call.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::limiter::{Limit, Limiter};

#[derive(Clone, Copy)]
pub enum Behaviour {
    /// Answers 429 with an integer `Retry-After` to what is over the limit.
    Limited(Limit),
    /// Answers 500 to everything.
    Down,
    /// Answers 503 to one request in ten.
    Flaky,
}

pub struct Service {
    server: MockServer,
    state: Arc<Mutex<State>>,
}

struct State {
    behaviour: Behaviour,
    limiter: Limiter,
    random: fastrand::Rng,
    began: Option<Instant>,
    log: Vec<(Duration, u16)>,
}

impl Service {
    pub async fn start(behaviour: Behaviour) -> Self {
        let state = State {
            behaviour,
            limiter: Limiter::default(),
            random: fastrand::Rng::with_seed(1),
            began: None,
            log: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let server = MockServer::builder().disable_request_recording().start().await;
        Mock::given(any()).respond_with(Answers(Arc::clone(&state))).mount(&server).await;
        Self { server, state }
    }

    pub fn url(&self) -> String {
        self.server.uri()
    }

    /// When each request came, counted from the first, and the status that it was answered with.
    pub fn log(&self) -> Vec<(Duration, u16)> {
        self.state.lock().expect("no panic").log.clone()
    }
}

struct Answers(Arc<Mutex<State>>);

impl Respond for Answers {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let mut state = self.0.lock().expect("no panic");
        let state = &mut *state;
        let now = Instant::now();
        let (status, wait) = match state.behaviour {
            Behaviour::Limited(limit) => match state.limiter.take(limit, now) {
                Ok(()) => (200, None),
                Err(wait) => (429, Some(wait.as_secs_f64().ceil().max(1.0))),
            },
            Behaviour::Down => (500, None),
            Behaviour::Flaky => (if state.random.u8(..10) == 0 { 503 } else { 200 }, None),
        };
        let began = *state.began.get_or_insert(now);
        state.log.push((now.saturating_duration_since(began), status));
        let answer = ResponseTemplate::new(status).set_body_string("{}");
        match wait {
            Some(seconds) => answer.insert_header("retry-after", format!("{seconds}")),
            None => answer,
        }
    }
}

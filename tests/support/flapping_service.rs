//! A service in memory that fails at random in every way, as a transport for calls on virtual time.
#![allow(dead_code, unreachable_pub, reason = "each test uses its own part")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use http::Response;
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{Abaco, ApiError, Client, ClientBuilder, Effect, Fault, Transport, TransportError, abaco};
use tokio::time::sleep;

/// What the service is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Any answer, or none.
    Flapping,
    /// Success.
    Well,
    /// Status 500.
    Down,
    /// No answer.
    Silent,
}

#[derive(Clone)]
pub struct FlappingService(Arc<State>);

struct State {
    mood: Mutex<Mood>,
    random: Mutex<fastrand::Rng>,
    received: AtomicUsize,
    under_way: AtomicUsize,
}

impl FlappingService {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(State {
            mood: Mutex::new(Mood::Flapping),
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            received: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
        }))
    }

    pub fn builder(&self) -> ClientBuilder<Abaco> {
        let key = abaco::ApiKey::new("abk_local", "not-a-real-secret").expect("a well-formed key");
        Client::builder(key).transport(self.clone())
    }

    pub fn be(&self, mood: Mood) {
        *self.0.mood.lock().expect("no panic") = mood;
    }

    /// How many requests came.
    pub fn received(&self) -> usize {
        self.0.received.load(Ordering::Relaxed)
    }

    /// How many requests are being answered.
    pub fn under_way(&self) -> usize {
        self.0.under_way.load(Ordering::Relaxed)
    }

    async fn answer(&self) -> Result<Response<Body>, ApiError> {
        let mood = *self.0.mood.lock().expect("no panic");
        let (choice, wait) = {
            let mut random = self.0.random.lock().expect("no panic");
            (random.u32(0..100), random.u64(1..200))
        };
        sleep(Duration::from_millis(wait)).await;
        match mood {
            Mood::Well => Ok(answer(200, None)),
            Mood::Down => Ok(answer(500, None)),
            Mood::Silent => std::future::pending().await,
            Mood::Flapping => match choice {
                0..60 => Ok(answer(200, None)),
                60..66 => Ok(answer(429, Some(wait % 3))),
                66..70 => Ok(answer(429, None)),
                70..74 => Ok(answer(503, Some(1))),
                74..80 => Ok(answer(500, None)),
                80..84 => Ok(answer(404, None)),
                84..88 => Ok(answer(401, None)),
                88..90 => Ok(slow_body()),
                90..93 => Err(TransportError::new(Fault::Reset, Effect::Possible).into()),
                93..96 => Err(TransportError::new(Fault::Connect, Effect::None).into()),
                96..98 => Ok(answer(200, None).map(|_| cut_body())),
                _ => std::future::pending().await,
            },
        }
    }
}

impl Transport for FlappingService {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        self.0.received.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            self.0.under_way.fetch_add(1, Ordering::Relaxed);
            let _leaves = Leaves(self);
            self.answer().await
        })
    }
}

struct Leaves<'a>(&'a FlappingService);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

fn answer(status: u16, retry_after: Option<u64>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    response.body(Body::from(r#"{"message": "texto", "details": {"limit": 50}}"#)).expect("a response")
}

/// Comes in two pieces with a pause between them.
fn slow_body() -> Response<Body> {
    let (mut pieces, mut pause) = (vec!["]", "["], Box::pin(sleep(Duration::from_millis(50))));
    Response::new(Body::from_poll(move |context| {
        if pieces.len() == 1 && pause.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Ok(pieces.pop().map(Into::into)).transpose())
    }))
}

fn cut_body() -> Body {
    let mut half = Some("[1, 2".into());
    Body::from_poll(move |_| {
        Poll::Ready(Some(half.take().ok_or_else(|| TransportError::new(Fault::Reset, Effect::Possible))))
    })
}

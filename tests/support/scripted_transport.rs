//! A transport in memory that answers by a script, for calls on virtual time.
#![allow(dead_code, unreachable_pub, reason = "each test uses its own part")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Response, StatusCode};
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{ApiError, Effect, Fault, Transport, TransportError};
use tokio::time::Instant;

/// What the script does with one request.
pub enum Step {
    /// Answers at once.
    Answer(Response<Body>),
    /// Answers after a while.
    Late(Duration, Response<Body>),
    /// Breaks the connection.
    Break(Fault, Effect),
    /// Never answers.
    Silence,
}

impl Step {
    pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        Self::Answer(response(status, headers, body.to_owned()))
    }
}

pub fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    for (name, value) in headers {
        let name = http::HeaderName::try_from(*name).expect("a name");
        response.headers_mut().append(name, value.parse().expect("a value"));
    }
    response
}

/// A request that was received, and when, counted from the making of the transport.
pub struct Received {
    pub at: Duration,
    pub request: HttpRequest,
}

/// Follows a script; clones share it. Beyond its end it answers 599.
#[derive(Clone)]
pub struct ScriptedTransport(Arc<State>);

struct State {
    began: Instant,
    steps: Mutex<VecDeque<Step>>,
    received: Mutex<Vec<Received>>,
}

impl ScriptedTransport {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self(Arc::new(State {
            began: Instant::now(),
            steps: Mutex::new(steps.into_iter().collect()),
            received: Mutex::default(),
        }))
    }

    /// How many requests were received.
    pub fn count(&self) -> usize {
        self.0.received.lock().expect("no panic").len()
    }

    /// When each request was received.
    pub fn times(&self) -> Vec<Duration> {
        self.0.received.lock().expect("no panic").iter().map(|received| received.at).collect()
    }

    /// The last request.
    pub fn last(&self) -> HttpRequest {
        self.0.received.lock().expect("no panic").last().expect("a request").request.clone()
    }
}

impl Transport for ScriptedTransport {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        let at = self.0.began.elapsed();
        self.0.received.lock().expect("no panic").push(Received { at, request });
        let step = self.0.steps.lock().expect("no panic").pop_front();
        Box::pin(async move {
            match step {
                Some(Step::Answer(response)) => Ok(response),
                Some(Step::Late(wait, response)) => {
                    tokio::time::sleep(wait).await;
                    Ok(response)
                }
                Some(Step::Break(fault, sent)) => Err(ApiError::from(TransportError::new(fault, sent))),
                Some(Step::Silence) => std::future::pending().await,
                None => Ok(response(599, &[], "")),
            }
        })
    }
}

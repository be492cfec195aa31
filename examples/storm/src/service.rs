//! The local service that all clients call.

use std::time::Duration;

use serde_json::json;
use steadfast::Stayforge;
use steadfast::testing::{MockServer, Throttle};

#[derive(Clone, Copy)]
pub enum Behavior {
    /// Throttles the requests beyond a limit.
    Limited(Throttle),
    /// Responds to every request with a 500.
    Down,
    /// Responds to one request in ten with a 503.
    Flaky,
}

pub struct Service(MockServer<Stayforge>);

impl Service {
    pub async fn start(behavior: Behavior) -> Self {
        let server = MockServer::start().await;
        server.seed(1);
        match behavior {
            Behavior::Limited(limit) => server.throttle(limit),
            Behavior::Down => _ = server.any().empty(500).always(),
            Behavior::Flaky => _ = server.any().empty(503).chance(0.1),
        }
        if !matches!(behavior, Behavior::Down) {
            server.any().json(&json!({})).always();
        }
        Self(server)
    }

    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// Returns the arrival time of each request, counted from the first one, and the status of its response.
    pub fn log(&self) -> Vec<(Duration, u16)> {
        let received = self.0.received();
        let first = received.first().map(|request| request.at).unwrap_or_default();
        let entry = |request: &steadfast::testing::Received| {
            (request.at.saturating_sub(first), request.status.map_or(0, |status| status.as_u16()))
        };
        received.iter().map(entry).collect()
    }
}

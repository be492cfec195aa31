//! Short forms for the mocks of the test kit.

use std::time::Duration;

use serde_json::{Value, json};
use steadfast::Service;
use steadfast::testing::{MockService, Received};

/// An empty JSON object, for responses whose body does not matter.
pub(crate) fn object() -> Value {
    json!({})
}

/// Returns the times at which requests arrived, counted from the creation of the mock.
pub(crate) fn times<S: Service>(service: &MockService<S>) -> Vec<Duration> {
    service.received().iter().map(|received| received.at).collect()
}

/// Returns the last request that arrived.
pub(crate) fn last<S: Service>(service: &MockService<S>) -> Received {
    service.received().pop().expect("a request")
}

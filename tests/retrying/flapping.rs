//! A service that fails at random in every way, and that can be up, down or silent as a whole.

use std::time::Duration;

use steadfast::testing::MockService;
use steadfast::{Abaco, Fault, abaco};

use crate::support::mock::object;

/// Returns a service that flaps from the start. It keeps no log of its requests.
pub(crate) fn flapping_service(seed: u64) -> MockService<Abaco> {
    let service = MockService::new();
    service.seed(seed);
    service.keep_received(0);
    service.delay(Duration::from_millis(1));
    service.jitter(Duration::from_millis(198));
    flap(&service);
    service
}

/// Makes a random share of the requests fail: two in five.
fn flap(service: &MockService<Abaco>) {
    let mut rest = 100.0;
    // A chance applies to the requests that received none of the responses before.
    let mut percent = |share: f64| {
        let chance = share / rest;
        rest -= share;
        chance
    };
    let limited = abaco::Code::RateLimitExceeded;
    let route = service.any();
    let route = (0..3)
        .fold(route, |route, wait| route.fail(limited).retry_after(Duration::from_secs(wait)).chance(percent(2.0)));
    route
        .fail(limited)
        .chance(percent(4.0))
        .empty(503)
        .retry_after(Duration::from_secs(1))
        .chance(percent(4.0))
        .json(&object())
        .status(500)
        .chance(percent(6.0))
        .json(&object())
        .status(404)
        .chance(percent(4.0))
        .fail(abaco::Code::InvalidApiKey)
        .chance(percent(4.0))
        .json(&[1, 2])
        .pauses(Duration::from_millis(50))
        .chance(percent(2.0))
        .json(&[1, 2])
        .truncated()
        .chance(percent(2.0))
        .fault(Fault::Reset)
        .chance(percent(3.0))
        .fault(Fault::Connect)
        .chance(percent(3.0))
        .hangs()
        .chance(percent(2.0))
        .json(&object())
        .always();
}

/// Makes every request succeed.
pub(crate) fn be_up(service: &MockService<Abaco>) {
    service.clear();
    service.any().json(&object()).always();
}

/// Makes every request fail with a 500.
pub(crate) fn be_down(service: &MockService<Abaco>) {
    service.clear();
    service.any().json(&object()).status(500).always();
}

/// Leaves every request without a response.
pub(crate) fn be_silent(service: &MockService<Abaco>) {
    service.clear();
    service.any().hangs().always();
}

//! A hundred thousand calls to a flapping service: nothing is lost or counted twice.

use std::collections::BTreeMap;
use std::time::Duration;

use steadfast::{Abaco, ApiError, Client, Response};
use tokio::task::JoinSet;

use super::flapping::flapping_service;

#[derive(Default)]
struct Counts {
    succeeded: usize,
    attempts: usize,
    /// The failed calls by the reason why they ended.
    failed: BTreeMap<String, usize>,
}

impl Counts {
    fn add(&mut self, outcome: &Result<Response, ApiError>) {
        match outcome {
            Ok(response) => {
                self.succeeded += 1;
                self.attempts += response.attempts().len();
            }
            Err(error) => {
                self.attempts += error.attempts().len();
                let reason = error.stop_reason().expect("every failed call has a reason");
                *self.failed.entry(reason.to_string()).or_default() += 1;
            }
        }
    }
}

async fn call(client: &Client<Abaco>, calls: usize, counts: &mut Counts) {
    let mut in_flight = JoinSet::new();
    for number in 0..calls {
        let request = match number % 3 {
            0 => client.get("/documents").query(&[("page", number)]),
            1 => client.post("/documents").json(&number),
            _ => client.put("/documents").segment(number),
        };
        in_flight.spawn(request.send());
        while in_flight.len() >= 64 {
            counts.add(&in_flight.join_next().await.expect("a call").expect("no panic"));
        }
    }
    while let Some(outcome) = in_flight.join_next().await {
        counts.add(&outcome.expect("no panic"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_calls_to_a_flapping_service_add_up() {
    const CALLS: usize = 100_000;
    let service = flapping_service(20_261_122);
    let client =
        service.builder().deadline(Duration::MAX).attempt_timeout(Duration::from_secs(2)).build().expect("a client");
    call(&client, 2_000, &mut Counts::default()).await;
    let before = service.request_count();

    let mut counts = Counts::default();
    call(&client, CALLS, &mut counts).await;

    let failed: usize = counts.failed.values().sum();
    println!("{} succeeded, {failed} failed: {:#?}", counts.succeeded, counts.failed);
    assert_eq!(counts.succeeded + failed, CALLS, "every call has one outcome");
    assert_eq!(counts.attempts, service.request_count() - before, "every request is reported as an attempt");
    assert_eq!(service.in_flight(), 0);
    assert!(counts.succeeded > CALLS / 2 && counts.failed.len() > 3, "the service flapped");
}

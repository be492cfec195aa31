//! Counts what a client does on its own, from the events that `observer` is told, in plain atomics, and prints the counters
//! as Prometheus reads them. A stand-in answers, on a clock that jumps over the waits: `cargo run --example metrics`

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use steadfast::fsm_navigator::Code;
use steadfast::testing::MockService;
use steadfast::{Event, FsmNavigator, StopReason, WaitSource};

/// One counter for each value of a label.
struct Counters<T>(Vec<(T, AtomicU64)>);

impl<T: PartialEq + Debug> Counters<T> {
    fn new(labels: impl IntoIterator<Item = T>) -> Self {
        Self(labels.into_iter().map(|label| (label, AtomicU64::new(0))).collect())
    }

    fn count(&self, label: &T) {
        if let Some((_, counter)) = self.0.iter().find(|(other, _)| other == label) {
            counter.fetch_add(1, Relaxed);
        }
    }

    fn print(&self, name: &str, help: &str, label: &str) {
        println!("# HELP {name} {help}\n# TYPE {name} counter");
        for (value, counter) in &self.0 {
            println!("{name}{{{label}=\"{value:?}\"}} {}", counter.load(Relaxed));
        }
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    use StopReason::{AttemptsExhausted, BudgetEmpty, DeadlineWouldPass, MayHaveActed, NotRetryable, WaitTooLong};
    use WaitSource::{Backoff, Body, Documented, Header, Reset};

    // `WaitSource::Gate` is missing: whether the gate makes a wait longer is known only when the wait is over.
    let retries = Arc::new(Counters::new([Header, Body, Reset, Documented, Backoff]));
    let reasons = [NotRetryable, MayHaveActed, AttemptsExhausted, WaitTooLong, DeadlineWouldPass, BudgetEmpty];
    let given_up = Arc::new(Counters::new(reasons));
    let gate_closed = Arc::new(AtomicU64::new(0));

    let (retry_counters, stop_counters, closed_milliseconds) = (retries.clone(), given_up.clone(), gate_closed.clone());
    let observe = move |event: &Event| match event {
        Event::RetryScheduled { source, .. } => retry_counters.count(source),
        Event::GaveUp { reason, .. } => stop_counters.count(reason),
        Event::GateClosed { wait } => {
            let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            closed_milliseconds.fetch_add(wait, Relaxed);
        }
        _ => {}
    };
    let service = MockService::<FsmNavigator>::new();
    let client = service.builder().observer(observe).build()?;

    service.get("/jobs").fail(Code::RateLimitExceeded).retry_after(Duration::from_secs(30));
    service.get("/jobs").fail(Code::ServerError).json(&["a job"]).html(502).json(&["a job"]).html(502).times(3);
    service.get("/jobs").raw(429, "application/json", r#"{"error": "rate_limit_exceeded", "retry_after": 45}"#);
    service.get("/jobs").fail(Code::NotFound).fail(Code::RateLimitExceeded).retry_after(Duration::from_secs(3600));
    service.post("/jobs").fail(Code::ServerError).dropped();
    let (get, post) = (|| client.get("/jobs"), || client.post("/jobs"));
    for request in [get(), get(), post(), get(), post(), get(), get(), get()] {
        request.send().await.ok();
    }

    retries.print("api_retries_total", "Retries, by what set the wait before.", "wait");
    given_up.print("api_given_up_total", "Failed calls, by why they were not tried again.", "reason");
    let seconds = Duration::from_millis(gate_closed.load(Relaxed)).as_secs_f64();
    println!("# HELP api_gate_closed_seconds_total For how long the service held all calls back.");
    println!("# TYPE api_gate_closed_seconds_total counter\napi_gate_closed_seconds_total {seconds}");
    Ok(())
}

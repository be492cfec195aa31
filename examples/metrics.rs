//! Counts retries, failed calls and the length of pauses from the client's events, and prints them in the text format
//! of Prometheus.
//!
//! Run with `cargo run --example metrics`. Needs no key and no network; the clock is paused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use steadfast::fsm_navigator::Code;
use steadfast::testing::MockService;
use steadfast::{Event, FsmNavigator};
use tokio::time::Instant;

/// Counters by metric and by label.
#[derive(Clone, Default)]
struct Counters(Arc<Mutex<BTreeMap<(&'static str, String), f64>>>);

impl Counters {
    fn add(&self, metric: &'static str, label: String, amount: f64) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counters.entry((metric, label)).or_default() += amount;
    }

    fn print(&self, metric: &'static str, help: &str) {
        println!("# HELP {metric} {help}\n# TYPE {metric} counter");
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((_, label), count) in counters.iter().filter(|((name, _), _)| *name == metric) {
            println!("{metric}{label} {count}");
        }
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let counters = Counters::default();
    let sink = counters.clone();
    // The start and end of the current pause. A later `Paused` extends it.
    let pause = Mutex::new(None::<(Instant, Instant)>);
    let observe = move |event: &Event| match event {
        Event::RetryScheduled { source, .. } => {
            sink.add("api_retries_total", format!("{{wait=\"{}\"}}", source.as_str()), 1.0);
        }
        Event::CallEnded { reason, .. } => {
            sink.add("api_failed_calls_total", format!("{{reason=\"{}\"}}", reason.as_str()), 1.0);
        }
        Event::Paused { wait, .. } => {
            let mut pause = pause.lock().unwrap_or_else(PoisonError::into_inner);
            let since = pause.map_or_else(Instant::now, |(since, _)| since);
            *pause = Some((since, Instant::now() + *wait));
        }
        Event::Resumed { .. } => {
            let pause = pause.lock().unwrap_or_else(PoisonError::into_inner).take();
            let seconds = pause.map(|(since, until)| until.duration_since(since).as_secs_f64());
            sink.add("api_paused_seconds_total", String::new(), seconds.unwrap_or_default());
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

    counters.print("api_retries_total", "Retries, by the source of the wait.");
    counters.print("api_failed_calls_total", "Failed calls, by the reason why they were not retried.");
    counters.print("api_paused_seconds_total", "Total time for which the rate limiter was paused.");
    Ok(())
}

//! Feeds metrics from the client's events, under the names of OpenTelemetry's semantic conventions, and prints them in
//! the text format of Prometheus: the duration of each request, the rate of errors by route and code, and the pauses.
//!
//! Run with `cargo run --example metrics`. Needs no key and no network; the clock is paused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use steadfast::fsm_navigator::Code;
use steadfast::testing::MockService;
use steadfast::{Attempt, Event, FsmNavigator};

/// Counts and sums, by metric and labels.
type Sums = BTreeMap<(&'static str, String), (u32, f64)>;

#[derive(Clone, Default)]
struct Metrics(Arc<Mutex<Sums>>);

impl Metrics {
    fn record(&self, metric: &'static str, labels: String, value: f64) {
        let mut metrics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, sum) = metrics.entry((metric, labels)).or_default();
        *count += 1;
        *sum += value;
    }

    fn observe(&self, event: &Event) {
        match event {
            Event::AttemptEnded { method, path, route, attempt, .. } => {
                let (route, error) = (route.unwrap_or(path), attempt.error_type().unwrap_or_default());
                let labels = format!(r#"http_request_method="{method}",url_template="{route}",error_type="{error}""#);
                self.record("http_client_request_duration_seconds", labels, attempt.took.as_secs_f64());
            }
            Event::RetryScheduled { source, delay, .. } => {
                let labels = format!(r#"wait_source="{}""#, source.as_str());
                self.record("steadfast_retry_wait_seconds", labels, delay.as_secs_f64());
            }
            Event::CallEnded { path, route, last, reason: Some(reason), .. } => {
                let (route, code) = (route.unwrap_or(path), last.as_ref().and_then(Attempt::code).unwrap_or_default());
                let labels = format!(r#"url_template="{route}",code="{code}",reason="{}""#, reason.as_str());
                self.record("steadfast_failed_calls", labels, 1.0);
            }
            Event::CallEnded { path, route, waited, .. } => {
                let labels = format!(r#"url_template="{}""#, route.unwrap_or(path));
                self.record("steadfast_call_waited_seconds", labels, waited.as_secs_f64());
            }
            Event::Paused { lane, wait, .. } => {
                self.record("steadfast_pause_seconds", format!(r#"lane="{}""#, lane.name()), wait.as_secs_f64());
            }
            _ => {}
        }
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let metrics = Metrics::default();
    let sink = metrics.clone();
    let service = MockService::<FsmNavigator>::new();
    let client = service.builder().observer(move |event| sink.observe(event)).build()?;

    let jobs = service.get("/jobs").fail(Code::RateLimitExceeded).retry_after(Duration::from_secs(30));
    jobs.json(&["a job"]).delay(Duration::from_millis(40)).html(502).json(&["a job"]).fail(Code::NotFound);
    service.post("/jobs").fail(Code::ServerError);
    for request in [client.get("/jobs"), client.get("/jobs"), client.get("/jobs"), client.post("/jobs")] {
        request.send().await.ok();
    }

    for ((metric, labels), (count, sum)) in &*metrics.0.lock().unwrap_or_else(PoisonError::into_inner) {
        println!("{metric}_count{{{labels}}} {count}\n{metric}_sum{{{labels}}} {sum:.3}");
    }
    Ok(())
}

//! What a client tells of itself: events to the observer, spans to tracing.

#[path = "support/scripted_transport.rs"]
mod scripted_transport;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scripted_transport::{ScriptedTransport, Step};
use steadfast::{Abaco, Attempt, Client, Event, Fault, Sent, StopReason, WaitSource, abaco};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

const LIMITED: &str = r#"{"message": "m", "code": "RATE_LIMIT_EXCEEDED"}"#;

fn script(last: Step) -> ScriptedTransport {
    ScriptedTransport::new([Step::answer(429, &[("retry-after", "10")], LIMITED), Step::answer(503, &[], ""), last])
}

fn key() -> abaco::ApiKey {
    abaco::ApiKey::new("abk_test", "canary-0123456789").unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_observer_is_told_of_retries_the_gate_and_calls_given_up() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let transport = script(Step::answer(404, &[], "{}"));
    let observe = move |event: &Event| sink.lock().unwrap().push(event.clone());
    let client = Client::<Abaco>::builder(key()).transport(transport).observer(observe).build().unwrap();
    client.get("/documents").send().await.unwrap_err();

    let seen = seen.lock().unwrap();
    let [Event::GateClosed { wait }, Event::RetryScheduled { .. }, Event::GateOpened, retry, given_up] = &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!(*wait, Duration::from_secs(10));
    let Event::RetryScheduled { method, path, attempt, source, .. } = retry else { panic!("{retry:?}") };
    assert_eq!((method.as_str(), &**path, attempt.number, *source), ("GET", "/documents", 2, WaitSource::Backoff));
    let Event::GaveUp { reason, attempts, last, .. } = given_up else { panic!("{given_up:?}") };
    assert_eq!((*reason, *attempts), (StopReason::NotRetryable, 3));
    assert_eq!(last.as_ref().and_then(Attempt::status).map(|status| status.as_u16()), Some(404));
}

#[tokio::test(start_paused = true)]
async fn a_success_at_once_tells_nothing() {
    let transport = ScriptedTransport::new([Step::answer(200, &[], "{}")]);
    let observe = |event: &Event| panic!("{event:?}");
    let client = Client::<Abaco>::builder(key()).transport(transport).observer(observe).build().unwrap();
    client.get("/documents").send().await.unwrap();
}

/// The fields of each span, as text.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<BTreeMap<u64, BTreeMap<String, String>>>>);

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        let fields = spans.entry(id.into_u64()).or_default();
        fields.insert("name".to_owned(), attributes.metadata().name().to_owned());
        attributes.record(&mut Fields(fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(&mut Fields(self.0.lock().unwrap().entry(id.into_u64()).or_default()));
    }
}

#[test]
fn each_attempt_has_a_span_with_the_names_of_opentelemetry() {
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let transport = script(Step::Break(Fault::Reset, Sent::Maybe));
            let client = Client::<Abaco>::builder(key()).transport(transport).build().unwrap();
            let request = client.get("/documents").query(&[("q", "canary-query")]).header("x-extra", "canary-header");
            request.send().await.unwrap_err();
        });
    });
    let spans = spans.0.lock().unwrap();
    let spans: Vec<_> = spans.values().filter(|fields| fields["name"] == "http.client.request").collect();
    assert_eq!(spans.len(), 3);
    for fields in &spans {
        assert_eq!(fields["http.request.method"], "GET");
        assert_eq!(fields["server.address"], "api.abaco.hn");
        assert_eq!(fields["server.port"], "443");
        assert_eq!(fields["otel.kind"], "client");
        assert!(!format!("{fields:?}").contains("canary"), "{fields:?}");
    }
    let field = |number: usize, name: &str| spans[number].get(name).map(String::as_str);
    assert_eq!(field(0, "http.request.resend_count"), None, "absent on the first");
    assert_eq!(field(1, "http.request.resend_count"), Some("1"));
    assert_eq!(field(2, "http.request.resend_count"), Some("2"));
    assert_eq!(field(0, "http.response.status_code"), Some("429"));
    assert_eq!(field(0, "error.type"), Some("429"));
    assert_eq!(field(2, "http.response.status_code"), None);
    assert_eq!(field(2, "error.type"), Some("reset"));
}

//! The tracing spans of attempts.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use steadfast::testing::MockService;
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{Abaco, Client, Transport, abaco};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::support::child;

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
        if let Some(parent) = attributes.parent() {
            fields.insert("parent".to_owned(), parent.into_u64().to_string());
        }
        attributes.record(&mut Fields(fields));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(&mut Fields(self.0.lock().unwrap().entry(id.into_u64()).or_default()));
    }
}

#[test]
fn each_attempt_has_a_span_with_the_field_names_of_opentelemetry() {
    if !child::is_alone(&child::test_name!()) {
        return;
    }
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let service = MockService::<Abaco>::new();
            let limited = service.any().fail(abaco::Code::RateLimitExceeded).retry_after(Duration::from_secs(10));
            limited.empty(503).dropped();
            let key = abaco::ApiKey::new("abk_test", "canary-0123456789").unwrap();
            let client = service.builder_with(key).build().unwrap();
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

/// A transport that records the span in which each step of an exchange runs.
#[derive(Clone, Default)]
struct Noting(Arc<Mutex<Vec<Option<&'static str>>>>);

impl Noting {
    fn note(&self) {
        self.0.lock().unwrap().push(tracing::Span::current().metadata().map(tracing::Metadata::name));
    }
}

impl Transport for Noting {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        self.note();
        Box::pin(async move {
            self.note();
            tokio::task::yield_now().await;
            self.note();
            let (noting, mut pieces) = (self.clone(), vec![bytes::Bytes::from_static(b"{}")]);
            let body = Body::from_poll(move |_| {
                noting.note();
                Poll::Ready(pieces.pop().map(Ok))
            });
            Ok(http::Response::new(body))
        })
    }
}

#[test]
fn an_exchange_runs_in_its_span_and_other_tasks_do_not() {
    if !child::is_alone(&child::test_name!()) {
        return;
    }
    tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let (within, beside) = (Noting::default(), Noting::default());
            let key = abaco::ApiKey::new("abk_test", "canary-0123456789").unwrap();
            let client = Client::<Abaco>::builder(key).transport(within.clone()).build().unwrap();
            let other = async {
                for _ in 0..3 {
                    beside.note();
                    tokio::task::yield_now().await;
                }
            };
            let (response, ()) = tokio::join!(client.get("/documents").send(), other);
            response.unwrap();
            assert_eq!(*within.0.lock().unwrap(), [Some("http.client.request"); 5]);
            assert_eq!(*beside.0.lock().unwrap(), [None; 3]);
        });
    });
}

#[test]
fn the_span_of_a_call_is_above_those_of_its_attempts_and_has_its_end() {
    if !child::is_alone(&child::test_name!()) {
        return;
    }
    let spans = Spans::default();
    let subscriber = tracing_subscriber::registry().with(spans.clone());
    tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let service = MockService::<Abaco>::new();
            service.any().empty(503).json(&serde_json::json!([])).empty(404);
            let client = service.client();
            client.get("/documents").send().await.unwrap();
            client.get("/documents").send().await.unwrap_err();
        });
    });
    let spans = spans.0.lock().unwrap();
    let calls: Vec<_> = spans.iter().filter(|(_, fields)| fields["name"] == "steadfast.call").collect();
    let [(first, success), (second, failure)] = &calls[..] else { panic!("{calls:?}") };
    let attempts_of =
        |call: &u64| spans.values().filter(|fields| fields.get("parent") == Some(&call.to_string())).count();
    assert_eq!((attempts_of(first), attempts_of(second)), (2, 1));
    let field = |span: &BTreeMap<String, String>, name: &str| span.get(name).cloned().unwrap_or_default();
    assert_eq!(
        (field(success, "steadfast.attempts"), field(success, "http.response.status_code")),
        ("2".into(), "200".into())
    );
    assert_eq!((field(success, "error.type"), field(success, "otel.kind")), (String::new(), "internal".into()));
    assert_eq!(
        (field(failure, "error.type"), field(failure, "steadfast.stop_reason")),
        ("404".into(), "not_retryable".into())
    );
    assert_eq!(field(failure, "otel.status_code"), "ERROR");
}

//! A record of all spans, events and log lines of a process, at every level and of every crate.

use std::fmt::{Debug, Write};
use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// Targets and lines. A line consists of the name and all fields of a span or an event.
static RECORDED: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

struct Recorder;

/// Starts to record the whole process.
pub(crate) fn record() {
    let subscriber = tracing_subscriber::registry().with(Recorder);
    tracing::subscriber::set_global_default(subscriber).expect("no other subscriber or logger");
    log::set_logger(&Recorder).expect("no other subscriber or logger");
    log::set_max_level(log::LevelFilter::Trace);
}

/// Returns the targets and lines since the last call.
pub(crate) fn take() -> Vec<(String, String)> {
    std::mem::take(&mut RECORDED.lock().expect("no panic"))
}

fn note(target: &str, line: String) {
    RECORDED.lock().expect("no panic").push((target.to_owned(), line));
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?} {value:#?}", field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, " {}={value}", field.name());
    }
}

impl<S> Layer<S> for Recorder
where
    S: tracing::Subscriber + for<'span> tracing_subscriber::registry::LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let mut line = Line(attributes.metadata().name().to_owned());
        attributes.record(&mut line);
        note(attributes.metadata().target(), line.0);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut line = Line("record".to_owned());
        values.record(&mut line);
        let target = context.span(id).map_or("", |span| span.metadata().target());
        note(target, line.0);
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut line = Line(format!("{} {}", event.metadata().level(), event.metadata().name()));
        event.record(&mut line);
        note(event.metadata().target(), line.0);
    }
}

impl log::Log for Recorder {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        note(record.target(), record.args().to_string());
    }

    fn flush(&self) {}
}

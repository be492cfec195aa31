//! The events of a call's attempts and of its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;
use tracing::level_filters::LevelFilter;

use super::{Call, span};
use crate::catalog::Effect;
use crate::error::{Attempt, Outcome, StopReason};
use crate::event::Event;
use crate::hint::{self, RateLimitHeaders};
use crate::response::incoming::Incoming;
use crate::service::request_id;

/// The end of a call, for its event.
pub(super) struct End<'a> {
    pub(super) last: Option<&'a Attempt>,
    /// The number of attempts.
    pub(super) attempts: usize,
    /// The reason why the call failed; `None` for a success.
    pub(super) reason: Option<StopReason>,
    pub(super) request_id: Option<Box<str>>,
    /// The duration of the call.
    pub(super) elapsed: Duration,
    /// The sum of the durations of the attempts.
    pub(super) exchanging: Duration,
}

impl Call<'_> {
    /// Emits an event within the span of the call.
    pub(super) fn notify(&self, level: LevelFilter, event: impl FnOnce() -> Event) {
        let _in_span = self.span.as_deref().map(Span::enter);
        self.core.observer.notify(level, event);
    }

    /// Emits the limiter's transitions within the span of the call.
    pub(super) fn report_transitions(&self) {
        let _in_span = self.span.as_deref().map(Span::enter);
        self.core.report_transitions();
    }

    /// Emits [`Event::AttemptEnded`] for an attempt that follows the ones listed in `attempts`.
    pub(super) fn notify_attempt(
        &self,
        earlier: &[Attempt],
        attempt: &Attempt,
        request_id: Option<Box<str>>,
        rate_limit: Option<RateLimitHeaders>,
    ) {
        self.notify(LevelFilter::OFF, || {
            let previous = earlier.last().map_or(Duration::ZERO, Attempt::ended);
            Event::AttemptEnded {
                service: self.core.service,
                lane: self.lane(),
                method: self.parts.method.clone(),
                path: self.path(),
                route: self.route(),
                attempt: attempt.clone(),
                waited: attempt.began.saturating_sub(previous),
                request_id,
                rate_limit,
            }
        });
    }

    /// Emits [`Event::CallEnded`] and completes the span of the call.
    pub(super) fn notify_end(&mut self, end: End<'_>) {
        self.is_over = true;
        if let Some(span) = &self.span {
            span::record_end(span, end.attempts, end.last, end.reason);
        }
        let level = if end.reason.is_none() {
            LevelFilter::OFF
        } else if end.attempts > 1 {
            LevelFilter::INFO
        } else {
            LevelFilter::DEBUG
        };
        self.notify(level, || Event::CallEnded {
            service: self.core.service,
            lane: self.lane(),
            method: self.parts.method.clone(),
            path: self.path(),
            route: self.route(),
            last: end.last.cloned(),
            attempts: end.attempts,
            reason: end.reason,
            elapsed: end.elapsed,
            waited: end.elapsed.saturating_sub(end.exchanging),
            request_id: end.request_id,
        });
    }

    /// Emits the events of a call that succeeded with the attempt that began at `sent`, if someone receives them.
    pub(super) fn note_success(&mut self, incoming: &Incoming, sent: Instant, ended: Instant) {
        if !self.core.observer.is_registered() && self.span.is_none() {
            return;
        }
        let request_id = request_id(&incoming.head.headers).map(|id| self.secrets().redact_text(&id));
        let outcome = Outcome::Response { status: incoming.head.status, code: None };
        let attempt = self.ended_attempt(sent, ended, outcome, Effect::Certain);
        let rate_limit = hint::rate_limit(&incoming.head.headers, incoming.received);
        self.notify_last(&attempt, None, request_id, rate_limit);
    }

    /// Emits [`Event::CallEnded`] for a call that a lookup settled.
    #[cold]
    pub(super) fn notify_settled(&mut self) {
        let attempts = std::mem::take(&mut self.attempts);
        self.notify_listed(&attempts, None);
        self.attempts = attempts;
    }

    /// Emits the events of a call whose future was dropped, maybe because the transport panicked. Another panic, of a
    /// subscriber, would then end the program.
    #[cold]
    pub(super) fn abandon(&mut self) {
        let _ = catch_unwind(AssertUnwindSafe(|| self.report_abandonment()));
    }

    fn report_abandonment(&mut self) {
        let reason = Some(StopReason::Abandoned);
        if let Some(sent) = self.in_progress.take() {
            let attempt = self.ended_attempt(sent, Instant::now(), Outcome::Abandoned, Effect::Possible);
            self.notify_last(&attempt, reason, None, None);
        } else {
            let attempts = std::mem::take(&mut self.attempts);
            self.notify_listed(&attempts, reason);
        }
    }

    /// Emits the event of a call that ends now, some time after its last attempt.
    fn notify_listed(&mut self, attempts: &[Attempt], reason: Option<StopReason>) {
        self.notify_end(End {
            last: attempts.last(),
            attempts: attempts.len(),
            reason,
            request_id: None,
            elapsed: self.began.elapsed(),
            exchanging: exchanging(attempts),
        });
    }

    /// Returns the attempt that began at `sent` and ended at `ended`.
    pub(super) fn ended_attempt(&self, sent: Instant, ended: Instant, outcome: Outcome, effect: Effect) -> Attempt {
        let (began, took) = (sent.saturating_duration_since(self.began), ended.saturating_duration_since(sent));
        Attempt::new(self.attempts.len(), began, took, outcome, effect)
    }

    /// Emits the events of the last attempt and of the call that ends with it.
    fn notify_last(
        &mut self,
        attempt: &Attempt,
        reason: Option<StopReason>,
        request_id: Option<Box<str>>,
        rate_limit: Option<RateLimitHeaders>,
    ) {
        let attempts = std::mem::take(&mut self.attempts);
        self.notify_attempt(&attempts, attempt, request_id.clone(), rate_limit);
        self.notify_end(End {
            last: Some(attempt),
            attempts: attempts.len().saturating_add(1),
            reason,
            request_id,
            elapsed: attempt.ended(),
            exchanging: exchanging(&attempts).saturating_add(attempt.took),
        });
        self.attempts = attempts;
    }

    /// Returns the template of the documented route, if a table lists it.
    pub(super) fn route(&self) -> Option<&'static str> {
        self.core.template(&self.parts.method, &self.parts.url)
    }

    /// Returns the path, or the displayable part of an invalid one.
    pub(super) fn path(&self) -> Box<str> {
        self.parts.invalid_path.clone().unwrap_or_else(|| self.parts.url.path().into())
    }
}

/// Returns the sum of the durations of attempts.
pub(super) fn exchanging(attempts: &[Attempt]) -> Duration {
    attempts.iter().fold(Duration::ZERO, |sum, attempt| sum.saturating_add(attempt.took))
}

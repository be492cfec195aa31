//! The lookups of a call whose effect is unknown.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use tracing::level_filters::LevelFilter;

use super::{Call, Settled, Stop};
use crate::catalog::Effect;
use crate::core::Core;
use crate::core::key::Key;
use crate::error::{ApiError, Attempt, Lookup, LookupOutcome};
use crate::event::Event;
use crate::hint::WaitSource;
use crate::request::parts::RequestParts;
use crate::response::Response;
use crate::response::incoming::Incoming;
use crate::retry::settlement::Settlement;

impl Call<'_> {
    /// Returns whether a lookup is due before the call ends: an attempt may have had an effect, and no lookup was
    /// made since.
    pub(super) fn is_unsettled(&self, stop: &Stop) -> bool {
        let worst = self.attempts.iter().map(Attempt::effect).fold(stop.error.effect(), Effect::max);
        self.parts.settlement.is_some() && worst == Effect::Possible && self.lookup.is_none()
    }

    /// Looks up the record of a call that would end now. Each lookup may take half of the call's deadline, in
    /// addition to the deadline.
    pub(super) async fn settle(&mut self, stop: Stop) -> Settled {
        let Some(settlement) = self.parts.settlement.clone() else { return Settled::Unknown(stop) };
        let stopped = Instant::now();
        let random = self.random().f64();
        if !self.sleep(self.parts.retry.backoff(self.attempts.len(), random)).await {
            return Settled::Unknown(stop);
        }
        let quiet_until = settlement.resend_after.and_then(|quiet| stopped.checked_add(quiet));
        let mut is_quiet = quiet_until.is_some_and(|until| until <= Instant::now());
        let mut record = self.look_up(&settlement).await;
        if record.is_none()
            && let Some(until) = quiet_until.filter(|until| !is_quiet && self.may_resend(*until))
        {
            if !self.sleep(until.saturating_duration_since(Instant::now())).await {
                return Settled::Unknown(stop);
            }
            is_quiet = true;
            record = self.look_up(&settlement).await;
        }
        match record {
            Some(record) => Settled::Found(record),
            None if is_quiet && self.is_absent() && self.may_resend(Instant::now()) => {
                self.plan_resend(stop.error);
                Settled::Resend
            }
            None => Settled::Unknown(stop),
        }
    }

    /// Looks the record up and records the result.
    async fn look_up(&mut self, settlement: &Settlement) -> Option<Bytes> {
        let began = Instant::now();
        let (lookup, record) = settlement.look_up(share(self.parts)).await;
        self.notify(LevelFilter::INFO, || ended(self.core, self.parts, &lookup, began.elapsed()));
        self.lookup = Some(Box::new(lookup));
        record
    }

    /// Returns whether the last lookup found that the record does not exist.
    fn is_absent(&self) -> bool {
        matches!(self.lookup.as_deref(), Some(Lookup { outcome: LookupOutcome::NotFound, .. }))
    }

    /// Returns whether the policy and the deadline leave room for another attempt at `time`.
    fn may_resend(&self, time: Instant) -> bool {
        self.is_absent()
            && self.attempts.len() < self.parts.retry.max_attempts() as usize
            && self.deadline.is_none_or(|deadline| time < deadline)
    }

    /// Plans another attempt after the record was found not to exist.
    fn plan_resend(&mut self, error: ApiError) {
        let now = Instant::now().saturating_duration_since(self.began);
        let waited = self.attempts.last().map(|last| now.saturating_sub(last.ended()));
        self.plan_wait(waited.unwrap_or_default(), WaitSource::Lookup);
        self.keep(error);
    }

    /// Ends the call with the record that a lookup found.
    pub(super) fn settled(&mut self, record: Bytes) -> SettledCall {
        self.is_over = true;
        self.notify_settled();
        SettledCall {
            record,
            began: self.began,
            failed: std::mem::take(&mut self.attempts),
            lookup: self.lookup.take(),
        }
    }
}

/// A call that a lookup settled.
pub(super) struct SettledCall {
    record: Bytes,
    began: Instant,
    failed: Vec<Attempt>,
    lookup: Option<Box<Lookup>>,
}

impl SettledCall {
    /// Returns the response that replaces the lost one: the record, under the status 200.
    pub(super) fn into_response(self, core: Arc<Core>, parts: Box<RequestParts>, key: Arc<Key>) -> Response {
        let Self { record, began, failed, lookup } = self;
        let ended = Instant::now();
        let attempts = OnceLock::from(failed.clone());
        let incoming = Box::new(Incoming::of_record(record));
        Response { incoming, parts, core, key, began, sent: ended, ended, failed, attempts, lookup }
    }
}

/// Settles a call whose response has a success status but no readable body, which proves nothing. Returns the response
/// with the record, or the error of the body with the lookup noted.
pub(crate) async fn settle_unreadable(
    settlement: &Settlement,
    mut response: Response,
    error: ApiError,
) -> Result<Response, ApiError> {
    let (core, parts) = (&response.core, &response.parts);
    let backoff = parts.retry.backoff(response.attempts().len(), parts.retry.random().f64());
    if timeout(backoff, core.closing.closed()).await.is_ok() {
        return Err(error);
    }
    let began = Instant::now();
    let (lookup, record) = settlement.look_up(share(parts)).await;
    core.observer.notify(LevelFilter::INFO, || ended(core, parts, &lookup, began.elapsed()));
    let Some(record) = record else { return Err(error.with_lookup(lookup)) };
    response.incoming = Box::new(Incoming::of_record(record));
    response.lookup = Some(Box::new(lookup));
    Ok(response)
}

/// Returns the event of a lookup.
fn ended(core: &Core, parts: &RequestParts, lookup: &Lookup, took: Duration) -> Event {
    Event::LookupEnded {
        service: core.service,
        lane: (core.lane)(&parts.method, &parts.url),
        method: parts.method.clone(),
        path: parts.url.path().into(),
        route: core.template(&parts.method, &parts.url),
        outcome: lookup.outcome.clone(),
        took,
    }
}

/// Returns the time that a lookup may take.
fn share(parts: &RequestParts) -> Duration {
    parts.deadline.checked_div(2).unwrap_or_default()
}

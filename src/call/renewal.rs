//! The renewal of a key that the service rejected.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, timeout};

use super::{Call, Stop};
use crate::catalog::{Category, Effect};
use crate::core::key_source::Answer;
use crate::error::{ApiError, StopReason};
use crate::hint::WaitSource;

/// The number of times that a call sends its request again because its key was replaced. It bounds the requests of a
/// program that replaces its key all the time.
const MOST_RENEWALS: u8 = 8;

impl Call<'_> {
    /// Returns whether the request can be sent again with another key: its key was rejected and has been replaced, or
    /// the source may replace it, and the request is safe to resend. The retry policy does not limit this.
    #[cold]
    pub(super) fn may_renew_key(&self, error: &ApiError) -> bool {
        let is_rejected =
            error.status() == Some(StatusCode::UNAUTHORIZED) && error.category() == Some(Category::Unauthenticated);
        let is_safe = self.parts.idempotent || error.effect() == Effect::None;
        let can_ask = self.core.source.is_some() && !self.renewal.has_asked;
        is_rejected && is_safe && self.renewal.count < MOST_RENEWALS && (can_ask || !self.core.is_current(self.key))
    }

    /// Waits until the key is replaced. Ends the call if it is not.
    pub(super) async fn renew_key(&mut self, error: ApiError) -> Result<(), Stop> {
        if let Some(withdrawal) = self.take_withdrawal() {
            withdrawal.give_back(); // the key was the problem, not the service
        }
        self.renewal.count = self.renewal.count.saturating_add(1);
        let remaining = self.remaining(Instant::now());
        let result = match timeout(remaining, self.replaced_key()).await {
            Ok(Some(result)) => result,
            Ok(None) => return Err(Stop::new(error, StopReason::Closed)),
            Err(_) => Err("the key source did not return before the call's deadline".into()),
        };
        if let Err(problem) = result {
            let key_problem = Some(self.secrets().redact_text(&problem));
            return Err(Stop { key_problem, ..Stop::new(error, StopReason::KeyNotReplaced) });
        }
        self.renewal.is_planned = true;
        self.plan_wait(Duration::ZERO, WaitSource::KeySource);
        self.keep(error);
        Ok(())
    }

    /// Waits until the key is replaced, or the source has ended without another key. `None` if the client is closed.
    async fn replaced_key(&mut self) -> Option<Answer> {
        let core = self.core;
        if !core.is_current(self.key) {
            return (!core.closing.is_closed()).then_some(Ok(()));
        }
        self.renewal.has_asked = true;
        let mut run = core.ask_for_key(self.key, self.renewal.runs)?;
        let mut closed = pin!(core.closing.closed());
        poll_fn(|context| match closed.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => Pin::new(&mut run).poll(context).map(Some),
        })
        .await
    }
}

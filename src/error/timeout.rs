//! Timeouts: [`TimeoutError`].

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::display::{HumanDuration, OneLine};
use super::fault::{Delivery, Limit};
use super::{PartialResponse, Rejection, Report};
use crate::catalog::{CodeInfo, Effect};

/// A time limit that expired before the response was complete.
///
/// ```
/// use serde_json::json;
/// use std::time::Duration;
/// use steadfast::testing::MockService;
/// use steadfast::{Abaco, ApiError, Limit};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let service = MockService::<Abaco>::new();
/// service.get("/documents").json(&json!([1, 2, 3])).stalled();
///
/// let request = service.client().get("/documents").deadline(Duration::from_secs(5));
/// let error = request.send().await.unwrap_err();
/// let ApiError::Timeout(error) = error else { panic!("{error}") };
/// assert_eq!(error.limit(), Limit::Deadline);
/// assert_eq!(error.status(), Some(http::StatusCode::OK), "the head arrived");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TimeoutError {
    pub(crate) limit: Limit,
    pub(crate) after: Duration,
    pub(crate) effect: Effect,
    pub(crate) partial: Option<Box<PartialResponse>>,
    pub(crate) report: Report,
    pub(crate) earlier_rejection: Option<Box<Rejection>>,
}

impl TimeoutError {
    /// Creates the error for a custom [`Transport`](crate::transport::Transport) whose own time limit expired.
    ///
    /// `after` is the length of the limit. `effect` is [`Effect::None`] if no byte of the request was sent, otherwise
    /// [`Effect::Possible`].
    #[must_use]
    pub fn new(limit: Limit, after: Duration, effect: Effect) -> Self {
        Self { limit, after, effect, partial: None, report: Report::new(), earlier_rejection: None }
    }

    /// Returns the time limit that expired.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// Returns the effect of the request: `None` if no byte of it was sent, otherwise `Possible`.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Returns the HTTP status, if the head of the response arrived in time but the body did not.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        Some(self.partial.as_ref()?.status)
    }

    /// Returns the part of the response body that arrived, up to [`MAX_ERROR_BODY`](crate::MAX_ERROR_BODY), with the
    /// key redacted.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        Some(&self.partial.as_ref()?.body)
    }

    /// Returns the row for the case of no response, if no connection could be made in time.
    pub(super) fn row(&self) -> Option<&'static CodeInfo> {
        self.report.row.filter(|_| self.limit == Limit::Connect)
    }

    pub(super) fn advice(&self) -> &'static str {
        match (self.limit, self.row()) {
            (_, Some(row)) => row.fix,
            (Limit::Connect, None) => {
                "Check the host of the base URL, and that a firewall or proxy allows the connection; raise \
                 connect_timeout for a slow network."
            }
            (Limit::Attempt, None) => {
                "Raise attempt_timeout if the service needs longer for this request, or request less at a time; look up \
                 whether the request took effect before you send it again."
            }
            (Limit::Queue, None) => {
                "Start fewer calls at a time, or raise queue_timeout or max_in_flight; nothing was sent."
            }
            (Limit::Deadline, None) => {
                "Raise the deadline if the call may take longer; the list of its attempts shows where the time went."
            }
        }
    }
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, report, .. } = self;
        let (service, after, delivery) =
            (report.prefix(), HumanDuration(self.after), Delivery(self.report.worst_effect(self.effect)));
        if let Some(status) = self.status() {
            let status = status.as_u16();
            write!(f, "{service}{status}, but {limit} of {after} expired before the response was complete")?;
        } else {
            write!(f, "{service}{limit} of {after} expired")?;
            if let (Limit::Connect, Some(host)) = (limit, &report.host) {
                write!(f, ": {}", OneLine(host))?;
            }
            write!(f, "; {delivery}")?;
        }
        if let Some(time) = report.paused_until {
            write!(f, "; retry not before {}", httpdate::HttpDate::from(time))?;
        }
        write!(f, "{report}")
    }
}

impl StdError for TimeoutError {}

//! The retry loop of the Google Cloud client libraries around reqwest, combined as in those libraries.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use google_cloud_gax::backoff_policy::BackoffPolicy;
use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::Status;
use google_cloud_gax::exponential_backoff::ExponentialBackoff;
use google_cloud_gax::retry_loop_internal::retry_loop;
use google_cloud_gax::retry_policy::{Aip194Strict, RetryPolicy, RetryPolicyExt};
use google_cloud_gax::retry_throttler::{AdaptiveThrottler, SharedRetryThrottler};
use reqwest::RequestBuilder;

use crate::case::Method;
use crate::library::{ATTEMPTS, Outcome};
use crate::loops::Bare;

/// The defaults of those libraries, except for the number of attempts, which is ten by default.
#[derive(Clone)]
pub struct Google {
    inner: Bare,
    throttler: SharedRetryThrottler,
    policy: Arc<dyn RetryPolicy>,
    backoff: Arc<dyn BackoffPolicy>,
}

impl Google {
    pub fn new(url: &str, also_429: bool) -> Self {
        let limit = Duration::from_secs(60);
        let policy: Arc<dyn RetryPolicy> = if also_429 {
            let policy = Aip194Strict.continue_on_too_many_requests();
            Arc::new(policy.with_attempt_limit(ATTEMPTS).with_time_limit(limit))
        } else {
            Arc::new(Aip194Strict.with_attempt_limit(ATTEMPTS).with_time_limit(limit))
        };
        Self {
            inner: Bare::new(url),
            throttler: Arc::new(Mutex::new(AdaptiveThrottler::default())),
            policy,
            backoff: Arc::new(ExponentialBackoff::default()),
        }
    }

    pub async fn call(&self, method: Method) -> Outcome {
        let (throttler, policy) = (Arc::clone(&self.throttler), Arc::clone(&self.policy));
        let (inner, is_idempotent) = (self.inner.clone(), method == Method::Get);
        let result = retry_loop(
            async move |_| once(inner.request(method)).await,
            async |delay| tokio::time::sleep(delay).await,
            is_idempotent,
            throttler,
            policy,
            Arc::clone(&self.backoff),
        );
        result.await.map_err(|error| match error.http_status_code() {
            Some(status) => status.to_string(),
            None if error.is_io() => "transport error".to_owned(),
            None => error.to_string(),
        })
    }
}

/// Sends one request, and converts a failure to the error type of the loop.
async fn once(request: RequestBuilder) -> Result<(), Error> {
    let response = request.send().await.map_err(|error| match error {
        error if error.is_connect() => Error::connect(error),
        error if error.is_timeout() => Error::timeout(error),
        error => Error::io(error),
    })?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.map_err(Error::io)?;
    if status.is_success() {
        return Ok(());
    }
    Err(match Status::try_from(&body) {
        Ok(typed) => Error::service_with_http_metadata(typed, Some(status.as_u16()), Some(headers)),
        Err(_) => Error::http(status.as_u16(), headers, body),
    })
}

//! The changes to the response that was added to a route last.

use std::time::Duration;

use http::HeaderName;

use super::route::{Route, checked, header_value};
use super::scripted_response::{Content, Ending, Times};
use super::shared::whole_seconds;
use super::writer::read_back;
use crate::service::Service;

#[expect(
    clippy::return_self_not_must_use,
    clippy::must_use_candidate,
    reason = "each call has taken effect when it returns"
)]
impl<S: Service> Route<'_, S> {
    /// Sets the status.
    ///
    /// # Panics
    ///
    /// Panics if the status is not in 200 to 599, or if the response is a documented error, a computed response or a
    /// fault.
    #[track_caller]
    pub fn status(self, status: u16) -> Self {
        let status = checked(status);
        let mut is_changed = false;
        let route = self.change(|response| {
            if let Content::Plain { status: present, .. } = &mut response.content {
                *present = status;
                is_changed = true;
            }
        });
        assert!(is_changed, "the response before `status` has no status to change; use `status` after `json` or `raw`");
        route
    }

    /// Adds a header.
    ///
    /// # Panics
    ///
    /// Panics if the name or the value is not valid.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test kit fails the test")]
    pub fn header(self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).unwrap_or_else(|_| panic!("not a header name: {name:?}"));
        let value = header_value(value);
        self.change(|response| {
            response.headers.append(name, value);
        })
    }

    /// Adds `Retry-After` in seconds, rounded up, and the same value in the body if the service repeats it there.
    ///
    /// # Panics
    ///
    /// Panics as [`fail`](Self::fail) does.
    #[track_caller]
    pub fn retry_after(self, wait: Duration) -> Self {
        let wait = Some(whole_seconds(wait));
        let mut code = None;
        let route = self.change(|response| {
            response.retry_after = wait;
            if let Content::Error(error) = response.content {
                code = Some(error);
            }
        });
        if let Some(code) = code {
            read_back::<S>(&*route.shared.writer(), code, wait);
        }
        route
    }

    /// Delays the response by this time, by tokio's clock. Defaults to zero.
    #[track_caller]
    pub fn delay(self, delay: Duration) -> Self {
        self.change(|response| response.delay = delay)
    }

    /// Adds a random time of up to this, in whole milliseconds, to the [`delay`](Self::delay). Defaults to zero.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.any().empty(204).delay(Duration::from_millis(10)).jitter(Duration::from_millis(20)).always();
    ///
    /// let client = service.client();
    /// for _ in 0..100 {
    ///     let response = client.get("/documents").send().await?;
    ///     assert!((10..=30).contains(&response.elapsed().as_millis()));
    /// }
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn jitter(self, jitter: Duration) -> Self {
        self.change(|response| response.jitter = jitter)
    }

    /// Breaks the connection after half of the body.
    ///
    /// ```
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.get("/documents").json(&[1, 2]).truncated().json(&[1, 2]);
    ///
    /// assert_eq!(service.client().get("/documents").fetch::<[u32; 2]>().await?, [1, 2]);
    /// assert_eq!(service.request_count(), 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the response has no body of known length.
    #[track_caller]
    pub fn truncated(self) -> Self {
        self.end(Ending::Truncated)
    }

    /// Sends nothing more after half of the body, and keeps the connection open.
    ///
    /// # Panics
    ///
    /// Panics if the response has no body of known length.
    #[track_caller]
    pub fn stalled(self) -> Self {
        self.end(Ending::Stalled)
    }

    /// Pauses for this time, by tokio's clock, after half of the body.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.get("/documents").json(&[1, 2]).pauses(Duration::from_secs(20));
    ///
    /// let response = service.client().get("/documents").send().await?;
    /// assert_eq!(response.json::<[u32; 2]>()?, [1, 2]);
    /// assert_eq!(response.elapsed(), Duration::from_secs(20));
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the response has no body of known length.
    #[track_caller]
    pub fn pauses(self, pause: Duration) -> Self {
        self.end(Ending::Pauses(pause))
    }

    /// Sends the response to this number of requests in a row. Defaults to 1.
    ///
    /// # Panics
    ///
    /// Panics if the number is 0.
    #[track_caller]
    pub fn times(self, times: usize) -> Self {
        assert!(times > 0, "the response would be sent 0 times; remove it");
        self.change(|response| response.times = Times::Exactly(times))
    }

    /// Sends the response to all further requests, if there are any.
    #[track_caller]
    pub fn always(self) -> Self {
        self.change(|response| response.times = Times::Always)
    }

    /// Sends the response to each request with this probability. Otherwise the request receives the next response.
    ///
    /// [`Script::seed`](super::Script::seed) sets the seed of the random numbers.
    ///
    /// ```
    /// use steadfast::Abaco;
    /// use steadfast::testing::MockService;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.any().html(503).chance(0.2).dropped().chance(0.1).empty(204).always();
    ///
    /// let client = service.client();
    /// for _ in 0..100 {
    ///     client.get("/documents").retry(steadfast::RetryPolicy::new().with_max_attempts(9)).send().await?;
    /// }
    /// assert!(service.request_count() > 110);
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the probability is not in 0 to 1.
    #[track_caller]
    pub fn chance(self, probability: f64) -> Self {
        assert!((0.0..=1.0).contains(&probability), "not a probability: {probability}; use a number from 0 to 1");
        self.change(|response| response.times = Times::Chance(probability))
    }

    #[track_caller]
    fn end(self, ending: Ending) -> Self {
        let mut has_body = false;
        let route = self.change(|response| {
            has_body = match &response.content {
                Content::Error(_) => true,
                Content::Plain { body, .. } => !body.is_empty(),
                Content::Computed(_) | Content::Fault(_) | Content::Silence => false,
            };
            response.ending = ending;
        });
        assert!(
            has_body,
            "the response before has no body to interrupt; use this after `json`, `raw`, `html` or `fail`"
        );
        route
    }
}

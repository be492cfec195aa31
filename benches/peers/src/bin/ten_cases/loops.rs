//! reqwest alone, reqwest with reqwest-retry, and a loop written with backon.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::{Response, StatusCode};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;

use crate::case::{BODY, Method, PATH};
use crate::library::{ATTEMPTS, Outcome};

/// Returns the reqwest client that these three and the Google runtime use.
pub fn reqwest() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

#[derive(Clone)]
pub struct Bare {
    client: reqwest::Client,
    url: String,
}

impl Bare {
    pub fn new(url: &str) -> Self {
        Self { client: reqwest(), url: format!("{url}{PATH}") }
    }

    pub fn request(&self, method: Method) -> reqwest::RequestBuilder {
        match method {
            Method::Get => self.client.get(&self.url),
            Method::Post => self.client.post(&self.url).body(BODY),
        }
    }

    pub async fn call(&self, method: Method) -> Outcome {
        read(self.request(method).send().await.map_err(|_| "send error")?).await
    }
}

#[derive(Clone)]
pub struct Middleware {
    client: ClientWithMiddleware,
    url: String,
}

impl Middleware {
    pub fn new(url: &str) -> Self {
        let backoff = ExponentialBackoff::builder().build_with_max_retries(ATTEMPTS - 1);
        let retry = RetryTransientMiddleware::new_with_policy(backoff);
        Self { client: ClientBuilder::new(reqwest()).with(retry).build(), url: format!("{url}{PATH}") }
    }

    pub async fn call(&self, method: Method) -> Outcome {
        let request = match method {
            Method::Get => self.client.get(&self.url),
            Method::Post => self.client.post(&self.url).body(BODY),
        };
        read(request.send().await.map_err(|_| "send error")?).await
    }
}

async fn read(response: Response) -> Outcome {
    let status = response.status();
    if !status.is_success() {
        return Err(status.as_u16().to_string());
    }
    response.bytes().await.map(drop).map_err(|_| "body error".to_owned())
}

/// A handwritten loop: exponential backoff with jitter after a 429, any 5xx and any failure to send or read, for every
/// method. A `Retry-After` in seconds replaces the backoff.
#[derive(Clone)]
pub struct Backon(Bare);

impl Backon {
    pub fn new(url: &str) -> Self {
        Self(Bare::new(url))
    }

    pub async fn call(&self, method: Method) -> Outcome {
        (|| self.once(method))
            .retry(ExponentialBuilder::new().with_jitter().with_max_times(ATTEMPTS as usize - 1))
            .when(|failure| failure.is_retryable)
            .adjust(|failure, wait| wait.map(|wait| failure.retry_after.unwrap_or(wait)))
            .await
            .map_err(|failure| failure.description)
    }

    async fn once(&self, method: Method) -> Result<(), Failure> {
        let response = self.0.request(method).send().await.map_err(|_| Failure::broken("send error"))?;
        let status = response.status();
        if status.is_success() {
            return response.bytes().await.map(drop).map_err(|_| Failure::broken("body error"));
        }
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        Err(Failure {
            is_retryable: status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error(),
            retry_after: retry_after.map(Duration::from_secs),
            description: status.as_u16().to_string(),
        })
    }
}

struct Failure {
    is_retryable: bool,
    retry_after: Option<Duration>,
    description: String,
}

impl Failure {
    fn broken(description: &str) -> Self {
        Self { is_retryable: true, retry_after: None, description: description.to_owned() }
    }
}

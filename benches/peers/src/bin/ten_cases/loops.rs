//! reqwest alone, reqwest with reqwest-retry, and a loop by hand with backon.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::{Response, StatusCode};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;

use crate::case::{BODY, Method, PATH};
use crate::library::{ATTEMPTS, Outcome};

/// A reqwest client as these three and the Google runtime use it.
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

async fn read(answer: Response) -> Outcome {
    let status = answer.status();
    if !status.is_success() {
        return Err(status.as_u16().to_string());
    }
    answer.bytes().await.map(drop).map_err(|_| "body error".to_owned())
}

/// As one writes it: exponential backoff with jitter after 429, any 5xx and any failure to send or read, whatever the
/// method, and `Retry-After` in its place where that is a number of seconds.
#[derive(Clone)]
pub struct Backon(Bare);

impl Backon {
    pub fn new(url: &str) -> Self {
        Self(Bare::new(url))
    }

    pub async fn call(&self, method: Method) -> Outcome {
        (|| self.once(method))
            .retry(ExponentialBuilder::new().with_jitter().with_max_times(ATTEMPTS as usize - 1))
            .when(|failure| failure.promising)
            .adjust(|failure, wait| wait.map(|wait| failure.retry_after.unwrap_or(wait)))
            .await
            .map_err(|failure| failure.shown)
    }

    async fn once(&self, method: Method) -> Result<(), Failure> {
        let answer = self.0.request(method).send().await.map_err(|_| Failure::broken("send error"))?;
        let status = answer.status();
        if status.is_success() {
            return answer.bytes().await.map(drop).map_err(|_| Failure::broken("body error"));
        }
        let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        Err(Failure {
            promising: status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error(),
            retry_after: retry_after.map(Duration::from_secs),
            shown: status.as_u16().to_string(),
        })
    }
}

struct Failure {
    promising: bool,
    retry_after: Option<Duration>,
    shown: String,
}

impl Failure {
    fn broken(shown: &str) -> Self {
        Self { promising: true, retry_after: None, shown: shown.to_owned() }
    }
}

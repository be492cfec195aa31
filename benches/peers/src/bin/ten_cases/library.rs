//! The libraries that are compared, with a common interface.

use crate::aws::Aws;
use crate::case::Method;
use crate::google::Google;
use crate::loops::{Backon, Bare, Middleware};
use crate::ours::Ours;

/// The maximum number of requests per call, including the first one.
pub const ATTEMPTS: u32 = 3;

#[derive(Clone, Copy)]
pub enum Library {
    Steadfast,
    Reqwest,
    ReqwestRetry,
    Aws,
    /// The AWS runtime, with 429 added to its retryable statuses.
    AwsWith429,
    Google,
    /// The Google runtime, with its policy that retries a 429.
    GoogleWith429,
    Backon,
}

/// A client of one library, shared by all calls to a service.
#[derive(Clone)]
pub enum Client {
    Steadfast(Ours),
    Reqwest(Bare),
    ReqwestRetry(Middleware),
    Aws(Aws),
    Google(Google),
    Backon(Backon),
}

/// The result of a call: `Ok` if a success was read in full, else a short description of the error.
pub type Outcome = Result<(), String>;

impl Library {
    pub fn name(self) -> &'static str {
        match self {
            Self::Steadfast => "steadfast",
            Self::Reqwest => "reqwest",
            Self::ReqwestRetry => "reqwest-retry",
            Self::Aws => "AWS runtime",
            Self::AwsWith429 => "AWS runtime, 429 added",
            Self::Google => "Google runtime",
            Self::GoogleWith429 => "Google runtime, 429 added",
            Self::Backon => "backon loop",
        }
    }

    pub fn client(self, url: &str) -> Client {
        match self {
            Self::Steadfast => Client::Steadfast(Ours::new(url)),
            Self::Reqwest => Client::Reqwest(Bare::new(url)),
            Self::ReqwestRetry => Client::ReqwestRetry(Middleware::new(url)),
            Self::Aws => Client::Aws(Aws::new(url, false)),
            Self::AwsWith429 => Client::Aws(Aws::new(url, true)),
            Self::Google => Client::Google(Google::new(url, false)),
            Self::GoogleWith429 => Client::Google(Google::new(url, true)),
            Self::Backon => Client::Backon(Backon::new(url)),
        }
    }
}

impl Client {
    pub async fn call(&self, method: Method) -> Outcome {
        match self {
            Self::Steadfast(client) => client.call(method).await,
            Self::Reqwest(client) => client.call(method).await,
            Self::ReqwestRetry(client) => client.call(method).await,
            Self::Aws(client) => client.call(method).await,
            Self::Google(client) => client.call(method).await,
            Self::Backon(client) => client.call(method).await,
        }
    }
}

//! The clients that make the same healthy call: this crate, bare reqwest with and without a timeout, and reqwest-retry.

use std::time::Duration;

use reqwest_middleware::ClientWithMiddleware;
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use steadfast::{Abaco, Client, abaco};

use crate::service::Documents;

const KEY: &str = "abk_local";
const SECRET: &str = "not-a-real-secret";

/// A client that sends a GET, reads the whole body and decodes its JSON.
#[derive(Clone)]
pub enum Caller {
    Steadfast(Client<Abaco>),
    Reqwest(reqwest::Client, String),
    ReqwestRetry(ClientWithMiddleware, String),
}

impl Caller {
    pub const NAMES: [&str; 4] = ["steadfast", "reqwest", "reqwest with a timeout", "reqwest-retry"];

    /// Creates the caller of this name, for up to `at_once` concurrent calls.
    pub fn new(name: &str, url: &str, at_once: usize) -> Self {
        match name {
            "steadfast" => {
                let key = abaco::ApiKey::new(KEY, SECRET).expect("a key");
                let builder = Client::builder(key).base_url(url).max_in_flight(at_once.max(32));
                Self::Steadfast(builder.build().expect("a client"))
            }
            "reqwest" => Self::Reqwest(build(reqwest()), url.to_owned()),
            "reqwest with a timeout" => {
                Self::Reqwest(build(reqwest().timeout(Duration::from_secs(30))), url.to_owned())
            }
            "reqwest-retry" => {
                let policy = ExponentialBackoff::builder().build_with_max_retries(2);
                let builder = reqwest_middleware::ClientBuilder::new(build(reqwest()));
                let retrying = builder.with(RetryTransientMiddleware::new_with_policy(policy)).build();
                Self::ReqwestRetry(retrying, url.to_owned())
            }
            _ => panic!("unknown caller: {name}; use one of {}", Self::NAMES.join(", ")),
        }
    }

    pub async fn get(&self, path: &str) -> Documents {
        match self {
            Self::Steadfast(client) => client.get(path).fetch().await.expect("documents"),
            Self::Reqwest(client, url) => {
                let response = client.get(format!("{url}{path}")).send().await.expect("a response");
                decode(response).await
            }
            Self::ReqwestRetry(client, url) => {
                let response = client.get(format!("{url}{path}")).send().await.expect("a response");
                decode(response).await
            }
        }
    }
}

/// Returns reqwest, configured for this API by hand: with the key and the two headers of every request.
fn reqwest() -> reqwest::ClientBuilder {
    let headers = [
        ("accept", "application/json".to_owned()),
        ("user-agent", "speed".to_owned()),
        ("authorization", format!("Bearer {KEY}:{SECRET}")),
    ];
    let headers = headers.map(|(name, value)| {
        (http::HeaderName::from_static(name), value.parse::<http::HeaderValue>().expect("a header value"))
    });
    reqwest::Client::builder().no_proxy().default_headers(headers.into_iter().collect())
}

fn build(builder: reqwest::ClientBuilder) -> reqwest::Client {
    builder.build().expect("a client")
}

async fn decode(response: reqwest::Response) -> Documents {
    let response = response.error_for_status().expect("a success");
    serde_json::from_slice(&response.bytes().await.expect("a body")).expect("documents")
}

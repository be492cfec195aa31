//! Who makes the same healthy call: this crate, bare reqwest, also with a time limit, and reqwest with reqwest-retry.

use std::time::Duration;

use reqwest_middleware::ClientWithMiddleware;
use reqwest_retry::RetryTransientMiddleware;
use reqwest_retry::policies::ExponentialBackoff;
use steadfast::{Abaco, Client, abaco};

use crate::service::Documents;

const KEY: &str = "abk_local";
const SECRET: &str = "not-a-real-secret";

/// Makes a GET, reads the whole body and decodes its JSON.
#[derive(Clone)]
pub enum Caller {
    Steadfast(Client<Abaco>),
    Reqwest(reqwest::Client, String),
    ReqwestRetry(ClientWithMiddleware, String),
}

impl Caller {
    pub const NAMES: [&str; 4] = ["steadfast", "reqwest", "reqwest with a time limit", "reqwest-retry"];

    /// The caller of this name, for up to `at_once` calls at once.
    pub fn new(name: &str, url: &str, at_once: usize) -> Self {
        match name {
            "steadfast" => {
                let key = abaco::ApiKey::new(KEY, SECRET).expect("a key");
                let builder = Client::builder(key).base_url(url).max_in_flight(at_once.max(32));
                Self::Steadfast(builder.build().expect("a client"))
            }
            "reqwest" => Self::Reqwest(build(reqwest()), url.to_owned()),
            "reqwest with a time limit" => {
                Self::Reqwest(build(reqwest().timeout(Duration::from_secs(30))), url.to_owned())
            }
            "reqwest-retry" => {
                let policy = ExponentialBackoff::builder().build_with_max_retries(2);
                let builder = reqwest_middleware::ClientBuilder::new(build(reqwest()));
                let retrying = builder.with(RetryTransientMiddleware::new_with_policy(policy)).build();
                Self::ReqwestRetry(retrying, url.to_owned())
            }
            _ => panic!("there is no caller {name}; there are {}", Self::NAMES.join(", ")),
        }
    }

    pub async fn get(&self, path: &str) -> Documents {
        match self {
            Self::Steadfast(client) => client.get(path).fetch().await.expect("documents"),
            Self::Reqwest(client, url) => {
                let answer = client.get(format!("{url}{path}")).send().await.expect("an answer");
                decode(answer).await
            }
            Self::ReqwestRetry(client, url) => {
                let answer = client.get(format!("{url}{path}")).send().await.expect("an answer");
                decode(answer).await
            }
        }
    }
}

/// reqwest as one sets it up for this API by hand: the key and the two headers that every request has.
fn reqwest() -> reqwest::ClientBuilder {
    let headers = [
        ("accept", "application/json".to_owned()),
        ("user-agent", "speed".to_owned()),
        ("authorization", format!("Bearer {KEY}:{SECRET}")),
    ];
    let headers = headers.map(|(name, value)| {
        (http::HeaderName::from_static(name), value.parse::<http::HeaderValue>().expect("a header's value"))
    });
    reqwest::Client::builder().no_proxy().default_headers(headers.into_iter().collect())
}

fn build(builder: reqwest::ClientBuilder) -> reqwest::Client {
    builder.build().expect("a client")
}

async fn decode(answer: reqwest::Response) -> Documents {
    let answer = answer.error_for_status().expect("a success");
    serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("documents")
}

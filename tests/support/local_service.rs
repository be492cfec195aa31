//! A service on loopback that answers by a script, in the form that its vendor documents.
#![allow(dead_code, unreachable_pub, reason = "each test and example uses its own part")]

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Mutex;

use serde_json::{Value, json};
use steadfast::{Abaco, Client, ClientBuilder, FsmNavigator, Service, Stayforge};
use steadfast::{abaco, fsm_navigator, stayforge};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// How a vendor writes its errors, and a key that its service would take.
pub trait Vendor: Service {
    fn key() -> Self::Key;
    fn error_body(code: &str, message: &str) -> Value;
}

impl Vendor for Abaco {
    fn key() -> abaco::ApiKey {
        abaco::ApiKey::new("abk_local", "not-a-real-secret").expect("a well-formed key")
    }

    fn error_body(code: &str, message: &str) -> Value {
        json!({"message": message, "code": code})
    }
}

impl Vendor for FsmNavigator {
    fn key() -> fsm_navigator::ApiKey {
        fsm_navigator::ApiKey::new("fsm_test_not-a-real-key").expect("a well-formed key")
    }

    fn error_body(code: &str, message: &str) -> Value {
        json!({"success": false, "error": code, "message": message})
    }
}

impl Vendor for Stayforge {
    fn key() -> stayforge::ApiKey {
        stayforge::ApiKey::new("sk_org_not-a-real.key").expect("a well-formed key")
    }

    fn error_body(code: &str, message: &str) -> Value {
        json!({"message": message, "code": code})
    }
}

/// One answer of a script.
#[derive(Clone, Debug)]
pub struct Answer(pub ResponseTemplate);

impl Answer {
    /// A success with a JSON body.
    pub fn json(body: &Value) -> Self {
        Self(ResponseTemplate::new(200).set_body_json(body))
    }

    /// A status and nothing else.
    pub fn status(status: u16) -> Self {
        Self(ResponseTemplate::new(status))
    }

    /// A documented error as the vendor `V` would send it.
    pub fn error<V: Vendor>(status: u16, code: &str, message: &str) -> Self {
        Self(ResponseTemplate::new(status).set_body_json(V::error_body(code, message)))
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.insert_header(name, value))
    }

    pub fn raw(status: u16, body: impl Into<Vec<u8>>, content_type: &str) -> Self {
        Self(ResponseTemplate::new(status).set_body_raw(body, content_type))
    }
}

/// A service on loopback. What its script does not foresee is answered with 599.
pub struct LocalService<V> {
    server: MockServer,
    vendor: PhantomData<V>,
}

impl<V: Vendor> LocalService<V> {
    pub async fn start() -> Self {
        let server = MockServer::start().await;
        Self { server, vendor: PhantomData }
    }

    pub fn url(&self) -> String {
        self.server.uri()
    }

    /// A builder of clients that call this service.
    pub fn builder(&self) -> ClientBuilder<V> {
        Client::builder(V::key()).base_url(self.url())
    }

    /// Answers requests of this method and path one after the other from `answers`.
    pub async fn script(&self, verb: &str, route: &str, answers: impl IntoIterator<Item = Answer>) {
        let script = Script(Mutex::new(answers.into_iter().collect()));
        Mock::given(method(verb)).and(path(route)).respond_with(script).mount(&self.server).await;
    }

    /// The requests that arrived, in order.
    pub async fn received(&self) -> Vec<Request> {
        self.server.received_requests().await.expect("recording is on")
    }
}

struct Script(Mutex<VecDeque<Answer>>);

impl Respond for Script {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let next = self.0.lock().expect("no answer panics").pop_front();
        next.map_or_else(|| ResponseTemplate::new(599), |answer| answer.0)
    }
}

//! A list of arbitrary pages ends, and contains the items received.

use std::sync::{Arc, Mutex};

use http::Response;
use serde_json::Value;
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{Abaco, Client, Page, Transport, abaco};

use super::message::Message;
use super::{SEPARATOR, check_one_line, run};

/// The secret of the client's key. No error shows it, even if the service echoes it.
pub const SECRET: &str = "Not4RealSecret";

/// Reads the list at the path in the first part of the input. The other parts are the responses; the last one is
/// repeated.
pub fn pages(input: &[u8]) {
    let mut parts = input.split(|byte| *byte == SEPARATOR);
    let path = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let responses: Vec<_> = parts.take(20).map(Message::read).map(Scripted::of).collect();
    let known = responses.len();
    let has_link = responses.iter().any(Scripted::may_have_link);
    let service = Service(Arc::new(Mutex::new(State { responses, requested: Vec::new() })));
    let key = abaco::ApiKey::new("abk_test", SECRET).expect("a key");
    let client = Client::<Abaco>::builder(key).transport(service.clone()).build().expect("a client");
    let is_in_path = path.contains(SECRET);

    run(async {
        let mut pages = client.get(&path).pages::<Value>();
        let mut last = None;
        while let Some(page) = pages.next().await {
            // A list that repeats its last page ends there. So does one with eleven empty pages, each of which has a
            // new link to the next. A call sends three requests at most.
            let requested = service.requested();
            assert!(requested.len() <= known + 14, "{} requests for {known} responses", requested.len());
            match page {
                Ok(page) => {
                    assert!(!page.items.is_empty());
                    assert!(last.is_none_or(|last| page.number > last), "{} after {last:?}", page.number);
                    last = Some(page.number);
                    check_items(&page, service.response(requested.len() - 1).as_ref());
                    if !has_link {
                        let number = page.number.to_string();
                        assert_eq!(requested.last().map(|numbers| numbers.last()), Some(Some(&number)));
                    }
                }
                Err(error) => {
                    check_one_line(&error);
                    let shown = format!("{error} {error:?}");
                    assert!(is_in_path || !shown.contains(SECRET), "{shown}");
                    assert!(pages.next().await.is_none(), "an error ends the list");
                    break;
                }
            }
        }
        assert!(pages.next().await.is_none(), "an ended list stays ended");
    });
}

/// Checks that the items are those of the body, if the body is unambiguous.
fn check_items(page: &Page<Value>, response: Option<&Scripted>) {
    let body = response.map(|response| &*response.body).unwrap_or_default();
    let message = Message { status: http::StatusCode::OK, headers: http::HeaderMap::new(), body };
    let list = serde_json::from_slice::<Vec<Value>>(body).ok().or_else(|| match message.member("data") {
        Some(Value::Array(items)) => Some(items),
        _ => None,
    });
    if let Some(list) = list {
        assert_eq!(page.items, list);
    }
}

#[derive(Clone)]
struct Scripted {
    status: http::StatusCode,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Scripted {
    /// Returns whether the response may link to the next page. The link may have any page number, or none.
    fn may_have_link(&self) -> bool {
        let body = String::from_utf8_lossy(&self.body).to_lowercase();
        self.headers.contains_key("link") || body.contains("next") || body.contains('\\')
    }

    fn of(message: Message<'_>) -> Self {
        Self { status: message.status, headers: message.headers, body: message.body.to_vec() }
    }
}

/// A service that sends its responses in turn.
#[derive(Clone)]
struct Service(Arc<Mutex<State>>);

struct State {
    responses: Vec<Scripted>,
    /// The page numbers in the query of each request.
    requested: Vec<Vec<String>>,
}

impl Service {
    fn requested(&self) -> Vec<Vec<String>> {
        self.0.lock().expect("no panic").requested.clone()
    }

    fn response(&self, number: usize) -> Option<Scripted> {
        let state = self.0.lock().expect("no panic");
        state.responses.get(number).or(state.responses.last()).cloned()
    }
}

impl Transport for Service {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        let pages = request.url.query_pairs().filter(|(name, _)| name == "page");
        let pages = pages.map(|(_, page)| page.into_owned()).collect();
        let number = {
            let mut state = self.0.lock().expect("no panic");
            state.requested.push(pages);
            state.requested.len() - 1
        };
        let scripted = self.response(number);
        Box::pin(async move {
            let mut response = Response::new(Body::from(""));
            if let Some(Scripted { status, headers, body }) = scripted {
                response = Response::new(Body::from(body));
                (*response.status_mut(), *response.headers_mut()) = (status, headers);
            }
            Ok(response)
        })
    }
}

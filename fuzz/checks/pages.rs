//! A list of arbitrary pages ends.

use std::sync::{Arc, Mutex};

use http::Response;
use serde_json::Value;
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{Abaco, Client, Page, Transport, abaco};

use super::message::Message;
use super::{SEPARATOR, is_one_line, run};

/// The secret of the client's key. No error shows it, even if the service sends it back.
pub const SECRET: &str = "Not4RealSecret";

/// Reads the list at the path that is the input's first part from a service that answers with the others, then with the
/// last of them for ever.
pub fn pages(input: &[u8]) {
    let mut parts = input.split(|byte| *byte == SEPARATOR);
    let path = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let answers: Vec<_> = parts.take(20).map(Message::read).map(Answer::of).collect();
    let known = answers.len();
    let service = Service(Arc::new(Mutex::new(State { answers, asked: Vec::new() })));
    let key = abaco::ApiKey::new("abk_test", SECRET).expect("a key");
    let client = Client::<Abaco>::builder(key).transport(service.clone()).build().expect("a client");
    let is_told = path.contains(SECRET);

    run(async {
        let mut pages = client.get(&path).pages::<Value>();
        let mut last = None;
        while let Some(page) = pages.next().await {
            // A list that repeats its last page ends there; a call sends three requests at most.
            let asked = service.asked();
            assert!(asked.len() <= known + 4, "{} requests for {known} answers", asked.len());
            match page {
                Ok(page) => {
                    assert!(!page.items.is_empty());
                    assert!(last.is_none_or(|last| page.number == last + 1), "{} after {last:?}", page.number);
                    last = Some(page.number);
                    is_what_came(&page, service.answer(asked.len() - 1).as_ref());
                    let number = page.number.to_string();
                    assert_eq!(asked.last().map(|numbers| numbers.last()), Some(Some(&number)));
                }
                Err(error) => {
                    is_one_line(&error);
                    let shown = format!("{error} {error:?}");
                    assert!(is_told || !shown.contains(SECRET), "{shown}");
                    assert!(pages.next().await.is_none(), "an error ends the list");
                    break;
                }
            }
        }
        assert!(pages.next().await.is_none(), "an ended list stays ended");
    });
}

/// The items are those of the body, where it is beyond doubt which these are.
fn is_what_came(page: &Page<Value>, answer: Option<&Answer>) {
    let body = answer.map(|answer| &*answer.body).unwrap_or_default();
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
struct Answer {
    status: http::StatusCode,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn of(message: Message<'_>) -> Self {
        Self { status: message.status, headers: message.headers, body: message.body.to_vec() }
    }
}

/// Answers in turn.
#[derive(Clone)]
struct Service(Arc<Mutex<State>>);

struct State {
    answers: Vec<Answer>,
    /// The page numbers in the query of each request.
    asked: Vec<Vec<String>>,
}

impl Service {
    fn asked(&self) -> Vec<Vec<String>> {
        self.0.lock().expect("no panic").asked.clone()
    }

    fn answer(&self, number: usize) -> Option<Answer> {
        let state = self.0.lock().expect("no panic");
        state.answers.get(number).or(state.answers.last()).cloned()
    }
}

impl Transport for Service {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        let pages = request.url.query_pairs().filter(|(name, _)| name == "page");
        let pages = pages.map(|(_, page)| page.into_owned()).collect();
        let number = {
            let mut state = self.0.lock().expect("no panic");
            state.asked.push(pages);
            state.asked.len() - 1
        };
        let answer = self.answer(number);
        Box::pin(async move {
            let mut response = Response::new(Body::from(""));
            if let Some(Answer { status, headers, body }) = answer {
                response = Response::new(Body::from(body));
                (*response.status_mut(), *response.headers_mut()) = (status, headers);
            }
            Ok(response)
        })
    }
}

//! A whole program that is tested with both mocks: an import that resumes a list and reports what it could not create.

use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use steadfast::testing::{MockServer, MockService, Received, Script};
use steadfast::{ApiError, Client, FsmNavigator, fsm_navigator};

/// The outcome of an import.
#[derive(Debug, Default, PartialEq)]
struct Report {
    created: usize,
    present: Vec<String>,
    unknown: Vec<String>,
}

/// The program: creates eight customers at once that the service does not list yet.
async fn import(client: &Client<FsmNavigator>, emails: Vec<String>) -> Result<Report, ApiError> {
    let mut known = Vec::new();
    for page in 1..=2 {
        let list: Value = client.get("/customers").query(&[("page", page)]).fetch().await?;
        let rows = list["data"].as_array().into_iter().flatten();
        known.extend(rows.filter_map(|row| row["email"].as_str().map(str::to_owned)));
    }
    let mut calls = Vec::new();
    for email in emails.into_iter().filter(|email| !known.contains(email)) {
        let call = client.post("/customers").json(&json!({"name": "n", "email": email})).fetch::<Value>();
        calls.push((email, tokio::spawn(call)));
    }
    let mut report = Report::default();
    for (email, call) in calls {
        match call.await.expect("no panic") {
            Ok(_) => report.created += 1,
            Err(error) if error.is(fsm_navigator::Code::DuplicateCustomer) => report.present.push(email),
            Err(error) if error.may_have_acted() => report.unknown.push(email),
            Err(error) => return Err(error),
        }
    }
    Ok(report)
}

/// Scripts two pages of customers, and a service that creates each customer once, except for two that fail.
fn script(script: &Script<FsmNavigator>) -> Arc<Mutex<Vec<Value>>> {
    let page = |number: &'static str| move |request: &Received| request.parameter("page") == Some(number);
    script.get("/customers").when(page("1")).json(&json!({"data": [{"email": "1@example.com"}]}));
    // The second page is throttled once.
    script
        .get("/customers")
        .when(page("2"))
        .fail(fsm_navigator::Code::RateLimitExceeded)
        .retry_after(Duration::from_secs(1))
        .json(&json!({"data": [{"email": "2@example.com"}]}));
    let email = |number: u32| move |request: &Received| request.json()["email"] == format!("{number}@example.com");
    script.post("/customers").when(email(7)).named("customer 7").fail(fsm_navigator::Code::DuplicateCustomer);
    script.post("/customers").when(email(5)).named("customer 5").dropped();
    let created = Arc::new(Mutex::new(Vec::new()));
    let store = Arc::clone(&created);
    let create = move |request: &Received| {
        let mut created = store.lock().unwrap();
        created.push(request.json()["email"].clone());
        let body = json!({"success": true, "data": {"id": created.len()}});
        http::Response::builder().status(201).body(body.to_string().into()).unwrap()
    };
    script.post("/customers").respond(create).times(4);
    created
}

fn emails() -> Vec<String> {
    (1..=8).map(|number| format!("{number}@example.com")).collect()
}

fn expected() -> Report {
    Report { created: 4, present: vec!["7@example.com".to_owned()], unknown: vec!["5@example.com".to_owned()] }
}

#[tokio::test(start_paused = true)]
async fn the_import_reports_each_customer_in_memory() {
    let service = MockService::<FsmNavigator>::new();
    let created = script(&service);
    assert_eq!(import(&service.client(), emails()).await.expect("a report"), expected());
    let mut created = created.lock().unwrap().iter().map(Value::to_string).collect::<Vec<_>>();
    created.sort();
    assert_eq!(created, ["3", "4", "6", "8"].map(|number| format!("\"{number}@example.com\"")));
    assert_eq!(service.request_count(), 3 + 6);
}

#[tokio::test]
async fn the_import_reports_each_customer_on_a_socket() {
    let server = MockServer::<FsmNavigator>::start().await;
    let created = script(&server);
    assert_eq!(import(&server.client(), emails()).await.expect("a report"), expected());
    assert_eq!(created.lock().unwrap().len(), 4);
    assert_eq!(server.request_count(), 3 + 6);
}

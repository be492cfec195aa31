//! Creates records exactly once although responses get lost, with a service that documents no idempotency keys.
//!
//! Run with `cargo run --example create_once`. Needs no key and no network; the clock is paused.

use serde_json::{Value, json};
use std::time::Duration;
use steadfast::fsm_navigator::Code;
use steadfast::testing::MockService;
use steadfast::{Abaco, ApiError, Client, FsmNavigator};

/// Creates a journal entry. If the response is lost, the entry is looked up by its reference.
async fn create_entry(client: &Client<Abaco>, reference: &'static str) -> Result<Value, ApiError> {
    let lookup = client.clone();
    let find = move || {
        let list = lookup.get("/journal-entries").query(&[("startDate", "2026-11-25"), ("endDate", "2026-11-25")]);
        async move {
            let mut entries = list.pages::<Value>().items();
            while let Some(entry) = entries.next().await.transpose()? {
                if entry["description"] == reference {
                    return Ok(Some(entry));
                }
            }
            Ok(None)
        }
    };
    let lines = json!([
        {"chartOfAccountId": 11, "debit": 50, "credit": 0, "lineDescription": "Rent"},
        {"chartOfAccountId": 12, "debit": 0, "credit": 50, "lineDescription": "Rent"},
    ]);
    let entry = json!({"date": "2026-11-25", "description": reference, "lines": lines});
    let post = client.post("/journal-entries").json(&entry).settled_by(find);
    // Without this line, an entry that is not found is left to the caller.
    let response = post.resend_if_absent(Duration::from_secs(60)).send().await?;
    match response.lookup() {
        Some(lookup) => println!("  the response was lost: {lookup}"),
        None => println!("  created with attempt {}", response.attempts().len()),
    }
    response.json()
}

/// Creates a customer. FSM Navigator rejects a second customer with the same email address, so the request is safe to
/// resend: the rejection proves that the customer exists.
async fn create_customer(client: &Client<FsmNavigator>, email: &str) -> Result<Value, ApiError> {
    let post = client.post("/customers").json(&json!({"customer_email": email})).idempotent(true);
    match post.fetch().await {
        Err(error) if error.is(Code::DuplicateCustomer) => {
            println!("  exists already, after {} attempts", error.attempts().len());
            client.get("/customers").query(&[("search", email)]).fetch().await
        }
        result => result,
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ApiError> {
    let abaco = MockService::<Abaco>::new();
    println!("A journal entry whose response is lost after it was created:");
    abaco.post("/journal-entries").dropped();
    let entries = json!({"journalEntries": [{"id": 7, "description": "ref 114"}], "total": 1});
    abaco.get("/journal-entries").json(&entries);
    println!("  {}", create_entry(&abaco.client(), "ref 114").await?);

    println!("A journal entry that was lost before it was created:");
    abaco.post("/journal-entries").html(502).json(&json!({"id": 8, "description": "ref 115"}));
    abaco.get("/journal-entries").json(&entries).times(2);
    println!("  {}", create_entry(&abaco.client(), "ref 115").await?);

    println!("A customer whose first response is lost:");
    let fsm = MockService::<FsmNavigator>::new();
    fsm.post("/customers").dropped().fail(Code::DuplicateCustomer);
    fsm.get("/customers").json(&json!({"data": [{"customer_id": 9}]}));
    println!("  {}", create_customer(&fsm.client(), "ana@example.com").await?);
    Ok(())
}

//! An import of 1,000 customers under a rate limit that is interrupted and resumed. A journal names each record before
//! it is sent, so the second run looks up those that may have arrived instead of sending them twice.
//!
//! Run with `cargo run --example bulk_import`. Needs no key and no network; the clock is paused.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use steadfast::fsm_navigator::{Code, Route};
use steadfast::testing::{MockService, Throttle};
use steadfast::{ApiError, Client, FsmNavigator};

/// Creates one customer. A customer who may exist already, or whose response is lost, is looked up.
async fn create(client: &Client<FsmNavigator>, id: u32, is_in_doubt: bool) -> Result<(), ApiError> {
    let (own, email) = (client.clone(), format!("{id}@example.com"));
    let customer = json!({"customer_email": email});
    let find = move || {
        let customers = own.call(Route::Customers).query(&[("search", &email)]);
        async move { Ok(customers.fetch::<Value>().await?["data"].get(0).cloned()) }
    };
    if is_in_doubt && find().await?.is_some() {
        return Ok(());
    }
    client.call(Route::CreateCustomer).json(&customer).settled_by(find).send().await.map(drop)
}

/// Sends the customers that the journal does not list as done, 16 at a time.
async fn import(client: &Client<FsmNavigator>, path: &Path) -> std::io::Result<()> {
    let (text, journal) = (fs::read_to_string(path)?, &File::options().append(true).open(path)?);
    let listed = |word| text.lines().filter_map(|line| line.strip_prefix(word)).collect::<BTreeSet<&str>>();
    let (sent, done) = (&listed("sent "), listed("done "));
    println!("{} of 1000 done, {} in doubt", done.len(), sent.difference(&done).count());
    let remaining = (0..1000).filter(|id: &u32| !done.contains(&*id.to_string()));
    let calls = stream::iter(remaining).map(|id| async move {
        let is_in_doubt = sent.contains(&*id.to_string());
        writeln!(&*journal, "sent {id}")?; // before the request is sent
        let Err(error) = create(client, id, is_in_doubt).await else { return writeln!(&*journal, "done {id}") };
        writeln!(std::io::stdout(), "  customer {id}: {error}")
    });
    calls.buffer_unordered(16).fold(Ok(()), |all, result| async { all.and(result) }).await
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A service that keeps its customers and accepts 300 requests a minute.
    let (service, customers) = (MockService::<FsmNavigator>::new(), Arc::<Mutex<Vec<Value>>>::default());
    service.throttle(Throttle::fixed_window(300, Duration::from_secs(60)));
    let email = |body: Value| body["customer_email"].clone();
    let invalid = service.post("/customers").when(move |request| email(request.json()) == "13@example.com");
    invalid.fail(Code::ValidationFailed).always();
    let (table, list) = (Arc::clone(&customers), Arc::clone(&customers));
    let post = service.post("/customers").respond(move |request| {
        table.lock().expect("no panic").push(email(request.json()));
        http::Response::new("{}".into())
    });
    post.delay(Duration::from_millis(40)).always();
    let get = service.get("/customers").respond(move |request| {
        let is_known = list.lock().expect("no panic").contains(&json!(request.parameter("search")));
        http::Response::new(json!({"data": if is_known { vec!["a customer"] } else { vec![] }}).to_string().into())
    });
    get.always();
    let client = service.client();
    let journal = std::env::temp_dir().join(format!("bulk_import_{}", std::process::id()));
    File::create(&journal)?;
    if tokio::time::timeout(Duration::from_millis(60_400), import(&client, &journal)).await.is_err() {
        println!("interrupted");
    }
    import(&client, &journal).await?;
    let customers = customers.lock().expect("no panic");
    let distinct: BTreeSet<_> = customers.iter().map(Value::to_string).collect();
    println!("{} customers created, {} of them twice", distinct.len(), customers.len() - distinct.len());
    Ok(fs::remove_file(journal)?)
}

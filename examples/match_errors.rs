//! Handling of each kind of error: a match on the variants of `ApiError`, and on exact codes where they matter.
//!
//! Run with `cargo run --example match_errors`. Needs no key and no network: scripted responses reach every arm.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use steadfast::fsm_navigator::{Code, JobStatus, Route};
use steadfast::testing::MockService;
use steadfast::{ApiError, Effect, FsmNavigator};

fn reaction(error: &ApiError) -> String {
    match error {
        ApiError::InvalidRequest(_) if error.is(Code::InvalidStatusTransition) => {
            "reload the job and offer only the transitions that are allowed now".to_owned()
        }
        ApiError::InvalidRequest(rejection) => {
            // FSM Navigator names the field in its message. abaco documents details for each field: `rejection.fields`.
            format!("show it beside the form: {}", rejection.message.as_deref().unwrap_or("invalid input"))
        }
        ApiError::Unauthenticated(_) => format!("stop the import and renew the key. {}", error.help().unwrap_or("")),
        ApiError::Forbidden(_) => match Code::of(error) {
            Some(Code::ScopeNotAuthorized) => format!("ask for the scope: {}", error.scope().unwrap_or("unknown")),
            Some(Code::IpNotAllowed) => "ask operations to add this machine's address to the key's list".to_owned(),
            _ => format!("hide this function from the user. {}", error.help().unwrap_or("")),
        },
        ApiError::NotFound(_) => "return None: there is no such customer".to_owned(),
        ApiError::Conflict(_) if error.is(Code::DuplicateCustomer) => "use the existing customer".to_owned(),
        ApiError::Conflict(_) => "reload the record, then decide".to_owned(),
        ApiError::RateLimited(_) => match error.retry_at().map(|time| time.duration_since(SystemTime::now())) {
            Some(Ok(wait)) => format!("requeue the job for {} min later", wait.as_secs().div_ceil(60)),
            _ => "requeue the job".to_owned(),
        },
        ApiError::Unavailable(_) => {
            format!("report request {} to support", error.request_id().unwrap_or("(no request ID)"))
        }
        ApiError::Timeout(timeout) if timeout.effect() == Effect::None => {
            "requeue the job: nothing was sent".to_owned()
        }
        ApiError::Transport(_) | ApiError::Timeout(_) => "check whether the record exists".to_owned(),
        ApiError::Decode(error) if error.effect() == Effect::Certain => {
            "keep the response for the developers; the request took effect".to_owned()
        }
        ApiError::Decode(_) => "check whether the record exists: the response is not the service's".to_owned(),
        ApiError::Build(_) => "fix the program: nothing was sent".to_owned(),
        ApiError::Unrecognized(rejection) => format!("check the base URL: unexpected status {}", rejection.status),
        _ => "log it: a later version of the crate may add variants".to_owned(),
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let service = MockService::<FsmNavigator>::new();
    let invalid =
        json!({"success": false, "error": "validation_failed", "message": "customer_email is not an address"});
    service.post("/customers").json(&invalid).status(400).fail(Code::DuplicateCustomer).dropped();
    service.patch("/jobs").fail(Code::InvalidStatusTransition).fail(Code::ScopeNotAuthorized).fail(Code::IpNotAllowed);
    service.patch("/jobs").fail(Code::Forbidden).empty(409).empty(302);
    service.post("/assets").fail(Code::ServerError).header("x-request-id", "req_81");
    // The last response reports that the quota is used up for half an hour, relative to its `date`.
    let customers = service.get("/customers").fail(Code::Unauthorized).fail(Code::NotFound).html(200);
    let customers = customers.header("date", "Sun, 06 Nov 1994 08:49:37 GMT").header("x-ratelimit-remaining", "0");
    customers.header("x-ratelimit-reset", "784113577");
    service.get("/assets").fail(Code::RateLimitExceeded).retry_after(Duration::from_secs(1800));

    let client = service.client();
    let save = || client.call(Route::CreateCustomer).json(&json!({"customer_name": "Ana"}));
    let finish = || client.call(Route::SetJobStatus(7)).json(&json!({"job_status": JobStatus::Completed}));
    let find = || client.call(Route::Customer(7));
    let requests = [save(), save(), save(), finish(), finish(), finish(), finish(), finish(), finish()];
    let others = [client.call(Route::AddMeterReading(7)), find(), find(), find(), find()];
    let last = [client.get("no-slash"), service.client().call(Route::Assets)];
    for request in requests.into_iter().chain(others).chain(last) {
        if let Err(error) = request.fetch::<Value>().await {
            println!("{error}\n    -> {}\n", reaction(&error));
        }
    }
}

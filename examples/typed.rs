//! Typed requests and responses: a struct with the fields that the program needs, which keeps all others, documented
//! routes with their IDs, and documented values.
//!
//! Run with `cargo run --example typed`. Needs no key and no network.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use steadfast::fsm_navigator::{Code, JobPriority, JobStatus, Route};
use steadfast::testing::MockService;
use steadfast::{ApiError, Client, FsmNavigator};

/// A job, as far as this program needs it. The service documents more fields, and may add others.
#[derive(Debug, Deserialize)]
struct Job {
    #[serde(rename = "job_id")]
    id: u64,
    #[serde(rename = "job_title")]
    title: String,
    /// Text instead of an enum, because the service may send a status that no documentation lists.
    #[serde(rename = "job_status")]
    status: String,
    /// Everything else, so that nothing is lost when the job is stored or shown.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A new job.
#[derive(Serialize)]
struct NewJob<'a> {
    job_title: &'a str,
    job_priority: JobPriority,
    customer_location_id: u64,
}

/// The response to a new job.
#[derive(Deserialize)]
struct Created {
    job: CreatedJob,
}

#[derive(Deserialize)]
struct CreatedJob {
    id: u64,
}

async fn work(client: &Client<FsmNavigator>) -> Result<(), ApiError> {
    // POST /jobs
    let job = NewJob { job_title: "Boiler", job_priority: JobPriority::Urgent, customer_location_id: 456 };
    let Created { job } = client.call(Route::CreateJob).json(&job).fetch().await?;
    println!("created job {}", job.id);

    // GET /jobs?status=In-Transit, page by page; the list is in the member `data`.
    let mut jobs = client.call(Route::Jobs).query(&[("status", JobStatus::InTransit)]).pages::<Job>().items();
    while let Some(job) = jobs.next().await {
        let Job { id, title, status, rest } = job?;
        println!("job {id}: {title} ({status}), other fields: {:?}", rest.keys().collect::<Vec<_>>());
    }

    // PATCH /jobs?id=789, with a key that may not write.
    let status = json!({"job_status": JobStatus::Completed});
    client.call(Route::SetJobStatus(job.id)).json(&status).send().await?;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let service = MockService::<FsmNavigator>::new();
    let job = json!({"job_id": 7, "job_title": "Boiler", "job_status": "In-Transit", "customer_id": 3, "assets": []});
    service.post("/jobs").json(&json!({"success": true, "job": {"id": 789}})).status(201);
    service.get("/jobs").json(&json!({"data": [job], "pagination": {"page": 1, "total_pages": 1}}));
    service.patch("/jobs").fail(Code::ScopeNotAuthorized);
    if let Err(error) = work(&service.client()).await {
        println!("{error}\n-> {}", error.help().unwrap_or("not documented"));
    }
}

//! Several real processes that share a limiter through a real Redis server.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use steadfast::testing::{MockServer, Throttle};
use steadfast::{Client, SharedLimiter, Stayforge, stayforge};

use crate::redis_server::{MEASURING, RedisServer};
use crate::support::child;

/// The URL of the service, and that of the Redis server, for a child process.
const SERVICE: &str = "STEADFAST_TEST_SERVICE";
const REDIS: &str = "STEADFAST_TEST_REDIS";

/// The results of several processes.
#[derive(Debug)]
struct Counts {
    failed: usize,
    requests: usize,
    seconds: f64,
}

/// Makes the 50 calls of one process.
fn member(service: &str, redis: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::<Stayforge>::builder(stayforge::ApiKey::new("sk_example").unwrap())
            .base_url(service)
            .shared_limiter(SharedLimiter::redis(redis).unwrap())
            .build()
            .unwrap();
        let calls: Vec<_> = (0..50).map(|_| tokio::spawn(client.get("/v1/branches").send())).collect();
        let mut failed = 0;
        for call in calls {
            failed += usize::from(call.await.unwrap().is_err());
        }
        println!("failed={failed}");
    });
}

/// Runs this test in several child processes, on a service that accepts 50 requests in 2 s. Kills the Redis server with
/// `signal` after 3 s.
async fn run(name: &str, processes: usize, signal: Option<&str>) -> Option<Counts> {
    if let (Ok(service), Ok(redis)) = (std::env::var(SERVICE), std::env::var(REDIS)) {
        tokio::task::spawn_blocking(move || member(&service, &redis)).await.unwrap();
        return None;
    }
    let _alone = MEASURING.lock().await;
    let redis = RedisServer::start(&[])?;
    let service = MockServer::<Stayforge>::start().await;
    service.get("/v1/branches").json(&()).always();
    service.delay(Duration::from_millis(5));
    service.throttle(Throttle::fixed_window(50, Duration::from_secs(2)));
    let began = Instant::now();
    let start = || -> Command {
        let mut command = child::command(name);
        command.env(SERVICE, service.url()).env(REDIS, redis.url()).stdout(Stdio::piped());
        command
    };
    let members: Vec<_> = (0..processes).map(|_| start().spawn().unwrap()).collect();
    if let Some(signal) = signal {
        tokio::time::sleep(Duration::from_secs(3)).await;
        redis.signal(signal);
    }
    let ended = tokio::task::spawn_blocking(|| {
        members.into_iter().map(|member| member.wait_with_output().unwrap()).collect::<Vec<_>>()
    });
    let mut failed = 0;
    for output in ended.await.unwrap() {
        let printed = child::text(&output);
        let count = printed.split("failed=").nth(1).and_then(|rest| rest.lines().next()).expect(&printed);
        failed += count.parse::<usize>().unwrap();
    }
    let counts = Counts { failed, requests: service.request_count(), seconds: began.elapsed().as_secs_f64() };
    println!("{processes} processes: {counts:?}");
    Some(counts)
}

// The goals of four processes are 310 requests and 6.9 s, and those of eight 640 requests and 15.5 s; see `figures`. A
// busy machine may need a few more.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_share_a_limit() {
    let Some(counts) = run(&child::test_name!(), 4, None).await else { return };
    assert_eq!(counts.failed, 0);
    assert!(counts.requests <= 330 && counts.seconds <= 9.0, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_processes_share_a_limit() {
    let Some(counts) = run(&child::test_name!(), 8, None).await else { return };
    // Processes start some milliseconds apart. If the first has ended its calls before the others are throttled, up to
    // two calls fail; see the known weaknesses in docs/design.md. Clients that start at once lose none; see `figures`.
    assert!(counts.failed <= 2, "{counts:?}");
    assert!(counts.requests <= 690 && counts.seconds <= 19.0, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_go_on_when_the_server_is_killed() {
    let Some(counts) = run(&child::test_name!(), 4, Some("-KILL")).await else { return };
    assert_eq!(counts.failed, 0);
    assert!(counts.requests <= 330 && counts.seconds <= 11.0, "{counts:?}");
}

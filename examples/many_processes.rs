//! Four processes with one key make 50 calls each to a service that accepts 50 requests in 2 s: alone, and with a
//! limiter that they share through Redis.
//!
//! Run with `cargo run --example many_processes --features redis`. Starts a redis-server or valkey-server on a loopback
//! port if one is installed.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use steadfast::testing::{MockServer, Throttle};
use steadfast::{Client, SharedLimiter, Stayforge, stayforge};

type Error = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(service) = arguments.first() {
        return member(service, arguments.get(1)).await;
    }
    println!("alone:");
    run(None).await?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let Some(mut redis) = start_redis(port) else {
        println!("no redis-server was found; install one, for example with `apt install redis-server`");
        return Ok(());
    };
    println!("with a shared limiter:");
    let result = run(Some(format!("redis://127.0.0.1:{port}"))).await;
    redis.kill()?;
    redis.wait()?;
    result
}

/// Starts four processes and prints what the service received.
async fn run(redis: Option<String>) -> Result<(), Error> {
    let service = MockServer::<Stayforge>::start().await;
    service.get("/v1/branches").json(&()).always();
    service.throttle(Throttle::fixed_window(50, Duration::from_secs(2)));
    let began = Instant::now();
    let program = std::env::current_exe()?;
    let start = || Command::new(&program).arg(service.url()).args(&redis).spawn();
    let mut members = (0..4).map(|_| start()).collect::<Result<Vec<_>, _>>()?;
    tokio::task::spawn_blocking(move || members.iter_mut().try_for_each(|member| member.wait().map(drop))).await??;
    let (requests, seconds) = (service.request_count(), began.elapsed().as_secs_f64());
    println!("  {requests} requests for 200 calls in {seconds:.1} s");
    Ok(())
}

/// Makes the calls of one process.
async fn member(service: &str, redis: Option<&String>) -> Result<(), Error> {
    let mut builder = Client::<Stayforge>::builder(stayforge::ApiKey::new("sk_example")?).base_url(service);
    if let Some(redis) = redis {
        builder = builder.shared_limiter(SharedLimiter::redis(redis)?);
    }
    let client = builder.build()?;
    let calls: Vec<_> = (0..50).map(|_| tokio::spawn(client.get("/v1/branches").send())).collect();
    let mut failed = 0;
    for call in calls {
        failed += usize::from(call.await?.is_err());
    }
    println!("  process {}: {failed} of 50 calls failed", std::process::id());
    Ok(())
}

fn start_redis(port: u16) -> Option<Child> {
    let start = |program: &&str| {
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]);
        command.stdout(Stdio::null()).spawn().ok()
    };
    let redis = ["redis-server", "valkey-server"].iter().find_map(start);
    std::thread::sleep(Duration::from_millis(300));
    redis
}

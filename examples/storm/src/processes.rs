//! Four processes with one key: each limits itself alone, or they share a limiter through Redis.

use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use steadfast::{Client, SharedLimiter, Stayforge, stayforge};

use crate::service::{Behavior, Service};

/// The first argument of a process that makes calls.
pub const MEMBER: &str = "member";
const PROCESSES: usize = 4;
const CALLS: usize = 50;

/// Prints the results of four processes, alone and with a shared limiter.
pub async fn run(behavior: Behavior) -> Result<(), Box<dyn Error>> {
    println!("\n{PROCESSES} processes, {CALLS} calls each, fixed window of 50 in 2 s");
    println!("{:<16}{:>8}{:>10}{:>10}{:>10}", "limiter", "failed", "requests", "errors", "seconds");
    storm("alone", behavior, None).await?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let Some(mut redis) = redis(port) else {
        println!("no redis-server was found");
        return Ok(());
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    let result = storm("shared", behavior, Some(format!("redis://127.0.0.1:{port}"))).await;
    redis.kill()?;
    redis.wait()?;
    result
}

fn redis(port: u16) -> Option<Child> {
    ["redis-server", "valkey-server"].iter().find_map(|program| {
        let mut command = Command::new(program);
        command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]);
        command.stdout(Stdio::null()).spawn().ok()
    })
}

async fn storm(name: &str, behavior: Behavior, redis: Option<String>) -> Result<(), Box<dyn Error>> {
    let service = Service::start(behavior).await;
    let program = std::env::current_exe()?;
    let began = Instant::now();
    let start = || Command::new(&program).args([MEMBER, service.url()]).args(&redis).stdout(Stdio::piped()).spawn();
    let members = (0..PROCESSES).map(|_| start()).collect::<Result<Vec<_>, _>>()?;
    let outputs =
        tokio::task::spawn_blocking(|| members.into_iter().map(Child::wait_with_output).collect::<Result<Vec<_>, _>>());
    let mut failed = 0;
    for output in outputs.await?? {
        failed += String::from_utf8(output.stdout)?.trim().parse::<usize>()?;
    }
    let log = service.log();
    let errors = log.iter().filter(|(_, status)| *status != 200).count();
    println!("{name:<16}{failed:>8}{:>10}{errors:>10}{:>10.2}", log.len(), began.elapsed().as_secs_f64());
    Ok(())
}

/// Makes the calls of one process, and prints the number that failed.
pub async fn member(url: &str, redis: Option<&String>) -> Result<(), Box<dyn Error>> {
    let key = stayforge::ApiKey::new("sk_org_not-a-real.key")?;
    let mut builder = Client::<Stayforge>::builder(key).base_url(url);
    if let Some(redis) = redis {
        builder = builder.shared_limiter(SharedLimiter::redis(redis)?);
    }
    let client = builder.build()?;
    let calls: Vec<_> = (0..CALLS).map(|_| tokio::spawn(client.get("/v1/things").send())).collect();
    let mut failed = 0;
    for call in calls {
        failed += usize::from(call.await?.is_err());
    }
    println!("{failed}");
    Ok(())
}

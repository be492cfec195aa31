//! Several clients on one service with a rate limit, with a paused clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Response, StatusCode};
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{Client, RetryPolicy, Service, SharedLimiter, Transport};
use tokio::time::{Instant, sleep};

use crate::board::{Board, Faults};
use crate::server::{Kind, Reports, Server};

/// Clients that make calls at once.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    pub(crate) clients: usize,
    pub(crate) calls: usize,
    pub(crate) kind: Kind,
    pub(crate) limit: (usize, f64),
    pub(crate) reports: Reports,
    /// The response time, in seconds.
    pub(crate) latency: f64,
    /// The time between the starts of two clients, in seconds.
    pub(crate) apart: f64,
    pub(crate) max_in_flight: usize,
    /// The faults of the noticeboard; `None` if the clients do not share their limiters.
    pub(crate) board: Option<Faults>,
}

impl Fleet {
    /// Returns clients on a fixed window of 50 requests in 2 s, with a response time of 5 ms.
    pub(crate) fn new(clients: usize) -> Self {
        Self {
            clients,
            calls: 50,
            kind: Kind::Fixed,
            limit: (50, 2.0),
            reports: Reports::RetryAfter,
            latency: 0.005,
            apart: 0.0,
            max_in_flight: 32,
            board: Some(Faults::default()),
        }
    }
}

/// The measurements.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: usize,
    pub(crate) throttled: usize,
    pub(crate) failed: usize,
    /// The requests that were sent during a requested wait, more than 10 ms after its response.
    pub(crate) early: usize,
    pub(crate) seconds: f64,
    /// The time between the ends of the first and the last client, in seconds.
    pub(crate) apart: f64,
    pub(crate) notices: Vec<(Duration, String)>,
    paused_until: f64,
}

struct Limited {
    server: Mutex<Server>,
    counts: Mutex<Counts>,
    random: Mutex<fastrand::Rng>,
    latency: f64,
    started: Instant,
}

impl Limited {
    fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    async fn travel(&self) {
        let jitter = 0.9 + 0.2 * self.random.lock().unwrap().f64();
        sleep(Duration::from_secs_f64(self.latency / 2.0 * jitter)).await;
    }

    fn respond(&self, wait: Option<f64>, quota: Option<(usize, u64)>) -> Response<Body> {
        let mut response = Response::builder();
        if let Some((remaining, reset)) = quota {
            response = response.header("x-ratelimit-remaining", remaining).header("x-ratelimit-reset", reset);
        }
        if let Some(wait) = wait {
            response = response.status(StatusCode::TOO_MANY_REQUESTS);
            let mut counts = self.counts.lock().unwrap();
            counts.throttled += 1;
            if let Some(seconds) = self.server.lock().unwrap().retry_after(wait) {
                response = response.header("retry-after", seconds);
                let until = self.now() + f64::from(u32::try_from(seconds).unwrap());
                counts.paused_until = counts.paused_until.max(until);
            }
        }
        response.body(Body::from("{}")).unwrap()
    }
}

impl Transport for Limited {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        Box::pin(async move {
            {
                let mut counts = self.counts.lock().unwrap();
                counts.requests += 1;
                counts.early += usize::from(self.now() < counts.paused_until - 1e-6);
            }
            self.travel().await;
            let (wait, quota) = {
                let mut server = self.server.lock().unwrap();
                (server.accept(self.now()).err(), server.quota(self.now()))
            };
            self.travel().await;
            Ok(self.respond(wait, quota))
        })
    }
}

/// A service without a limit.
#[allow(dead_code, reason = "only for the tests with a real server")]
pub(crate) struct Unlimited;

impl Transport for Unlimited {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        Box::pin(async { Ok(Response::builder().status(StatusCode::OK).body(Body::from("{}")).unwrap()) })
    }
}

/// Lets the clients make their calls with a paused clock.
pub(crate) fn run<S: Service>(fleet: &Fleet, key: impl Fn() -> S::Key, seed: u64) -> Counts {
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let board = fleet.board.map(|faults| Board::new(faults, seed));
        let share = || board.clone().map(SharedLimiter::new);
        let mut counts = run_with::<S>(fleet, key, seed, &share).await;
        counts.notices = board.as_ref().map(Board::notices).unwrap_or_default();
        counts
    })
}

/// Lets the clients make their calls, each with three attempts and without a deadline.
pub(crate) async fn run_with<S: Service>(
    fleet: &Fleet,
    key: impl Fn() -> S::Key,
    seed: u64,
    share: &dyn Fn() -> Option<SharedLimiter>,
) -> Counts {
    let started = Instant::now();
    let limited = Arc::new(Limited {
        server: Mutex::new(Server::new(fleet.kind, fleet.limit, fleet.reports)),
        counts: Mutex::default(),
        random: Mutex::new(fastrand::Rng::with_seed(seed)),
        latency: fleet.latency,
        started,
    });
    let mut clients = Vec::new();
    for number in 0..fleet.clients {
        let mut builder = Client::<S>::builder(key())
            .transport(Arc::clone(&limited))
            .max_in_flight(fleet.max_in_flight)
            .retry(RetryPolicy::new().with_max_wait(Duration::MAX))
            .deadline(Duration::MAX);
        if let Some(shared) = share() {
            builder = builder.shared_limiter(shared);
        }
        let client = builder.build().unwrap();
        let (calls, apart) = (fleet.calls, fleet.apart);
        clients.push(tokio::spawn(async move {
            sleep(Duration::from_secs_f64(apart * f64::from(u32::try_from(number).unwrap()))).await;
            let calls: Vec<_> = (0..calls)
                .map(|call| {
                    let policy = RetryPolicy::new()
                        .with_max_wait(Duration::MAX)
                        .with_seed(seed.wrapping_mul(1_000_000) + (number * 10_000 + call) as u64);
                    tokio::spawn(client.get("/v1/branches").retry(policy).send())
                })
                .collect();
            let mut failed = 0;
            for call in calls {
                failed += usize::from(call.await.unwrap().is_err());
            }
            (failed, started.elapsed().as_secs_f64())
        }));
    }
    let (mut failed, mut first, mut last) = (0, f64::INFINITY, 0.0_f64);
    for client in clients {
        let (more, end) = client.await.unwrap();
        failed += more;
        (first, last) = (first.min(end), last.max(end));
    }
    let mut counts = limited.counts.lock().unwrap().clone();
    (counts.failed, counts.seconds, counts.apart) = (failed, last, last - first);
    counts
}

//! Writes whose outcome is unknown, for services that act late and fail lookups.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, Response};
use proptest::prelude::*;
use serde_json::{Value, json};
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{Abaco, ApiError, Attempt, Client, Effect, Fault, RetryPolicy, Transport, TransportError, abaco};
use tokio::time::Instant;

/// One reaction of a service to a write: whether and when it takes effect, and the end of the exchange.
#[derive(Clone, Copy, Debug)]
struct Reaction {
    acts_after: Option<u64>,
    ends_after: u64,
    end: End,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Status(u16),
    Reset,
    Hangs,
}

/// A service that keeps records. It shows a record late, and fails some lookups.
#[derive(Clone)]
struct Ledger(Arc<State>);

struct State {
    reactions: Vec<Reaction>,
    lag: u64,
    failing_lookups: Vec<bool>,
    requests: AtomicUsize,
    lookups: AtomicUsize,
    records: Mutex<Vec<Instant>>,
}

impl Ledger {
    /// Returns the number of writes that took or will take effect.
    fn writes(&self) -> usize {
        self.0.records.lock().unwrap().len()
    }

    fn look_up(&self) -> Result<Option<Value>, ApiError> {
        let turn = self.0.lookups.fetch_add(1, Relaxed);
        if self.0.failing_lookups.get(turn) == Some(&true) {
            return Err(TransportError::new(Fault::Connect, Effect::None).into());
        }
        let lag = Duration::from_millis(self.0.lag);
        let is_visible = self.0.records.lock().unwrap().iter().any(|at| *at + lag <= Instant::now());
        Ok(is_visible.then(|| json!({"id": 1})))
    }
}

impl Transport for Ledger {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        assert_eq!(request.method, Method::POST);
        let turn = self.0.requests.fetch_add(1, Relaxed);
        let reaction = self.0.reactions[turn % self.0.reactions.len()];
        if let Some(delay) = reaction.acts_after {
            self.0.records.lock().unwrap().push(Instant::now() + Duration::from_millis(delay));
        }
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(reaction.ends_after)).await;
            let status = match reaction.end {
                End::Status(status) => status,
                End::Reset => return Err(TransportError::new(Fault::Reset, Effect::Possible).into()),
                End::Hangs => std::future::pending().await,
            };
            Ok(Response::builder().status(status).body(Body::from("{}")).unwrap())
        })
    }
}

fn reaction() -> impl Strategy<Value = Reaction> {
    let end = prop_oneof![
        (200_u16..205).prop_map(End::Status),
        prop_oneof![Just(500), Just(502), Just(503), Just(408)].prop_map(End::Status),
        Just(End::Reset),
        Just(End::Hangs),
    ];
    let acting = (0_u64..20_000, 0_u64..50_000, end).prop_map(|(acts, ends_after, end)| Reaction {
        acts_after: Some(acts),
        ends_after,
        end,
    });
    let failing = prop_oneof![Just(End::Status(429)), Just(End::Status(503)), Just(End::Reset), Just(End::Hangs)];
    let idle = (0_u64..40_000, failing).prop_map(|(ends_after, end)| Reaction { acts_after: None, ends_after, end });
    prop_oneof![acting, idle]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A late record appears after at most 20 s and is visible 10 s later. The time of quiet is longer.
    #[test]
    fn there_are_never_two_writes_unless_the_quiet_time_is_too_short(
        reactions in proptest::collection::vec(reaction(), 1..5),
        lag in 0_u64..10_000,
        failing_lookups in proptest::collection::vec(any::<bool>(), 0..5),
        may_resend in any::<bool>(),
        attempts in 1_u32..5,
        seed in any::<u64>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let ledger = Ledger(Arc::new(State {
                reactions,
                lag,
                failing_lookups,
                requests: AtomicUsize::new(0),
                lookups: AtomicUsize::new(0),
                records: Mutex::default(),
            }));
            let key = abaco::ApiKey::new("abk_test", "secret-0123456789").unwrap();
            let policy = RetryPolicy::new().with_seed(seed).with_max_attempts(attempts);
            let client = Client::<Abaco>::builder(key).transport(ledger.clone()).retry(policy).build().unwrap();
            let lookup = ledger.clone();
            let mut request = client.post("/documents").settled_by(move || {
                let found = lookup.look_up();
                async move { found }
            });
            if may_resend {
                request = request.resend_if_absent(Duration::from_secs(31));
            }
            let result = request.send().await;
            let effects = |attempts: &[Attempt]| attempts.iter().map(Attempt::effect).max();
            match &result {
                Ok(response) => {
                    prop_assert!(ledger.writes() == 1, "{} writes", ledger.writes());
                    prop_assert!(response.lookup().is_none() || effects(response.attempts()) == Some(Effect::Possible));
                }
                Err(error) if error.may_have_acted() => {
                    prop_assert!(error.lookup().is_some(), "{error}");
                    prop_assert!(ledger.writes() <= 1, "{} writes: {error}", ledger.writes());
                }
                Err(error) => {
                    prop_assert!(ledger.writes() == 0, "{} writes: {error}", ledger.writes());
                    prop_assert!(error.lookup().is_none());
                }
            }
            Ok(())
        })?;
    }
}

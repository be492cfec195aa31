//! Properties that hold for every seed, every policy and every sequence of responses.

use std::time::Duration;

use http::{Method, Response};
use proptest::collection::vec;
use proptest::prelude::*;
use steadfast::testing::MockService;
use steadfast::{Abaco, ApiError, CallState, Decision, Fault, RetryBudget, RetryPolicy, StopReason, WaitSource};

use crate::mock::{object, times};

/// A response of a service, or a failure without one.
#[derive(Clone, Debug)]
enum Reaction {
    Response { status: u16, retry_after: Option<u32>, body_wait: Option<u32> },
    Silence,
    Fault(Fault),
}

impl Reaction {
    fn add_to(&self, service: &MockService<Abaco>) {
        match *self {
            Self::Response { status, retry_after, body_wait } => {
                service.any().respond(move |_| {
                    let mut response = Response::builder().status(status);
                    if let Some(seconds) = retry_after {
                        response = response.header("retry-after", seconds);
                    }
                    let body = body_wait.map_or("{}".to_owned(), |seconds| format!(r#"{{"retry_after": {seconds}}}"#));
                    response.body(body.into()).unwrap()
                });
            }
            Self::Silence => _ = service.any().hangs(),
            Self::Fault(fault) => _ = service.any().fault(fault),
        }
    }

    /// Returns the wait that it requests.
    fn hint(&self) -> Duration {
        match self {
            Self::Response { retry_after, body_wait, .. } => {
                Duration::from_secs(u64::from((*retry_after).max(*body_wait).unwrap_or(0)))
            }
            Self::Silence | Self::Fault(_) => Duration::ZERO,
        }
    }

    /// Returns true if the request may have had an effect.
    fn may_have_acted(&self) -> bool {
        match self {
            Self::Response { status, .. } => !matches!(status, 421 | 429),
            Self::Silence => true,
            Self::Fault(fault) => *fault == Fault::Reset,
        }
    }
}

fn reaction() -> impl Strategy<Value = Reaction> {
    let status = prop_oneof![Just(429_u16), Just(503), Just(500), Just(200), Just(404), 100_u16..600];
    let hint = || proptest::option::of(prop_oneof![0_u32..200, any::<u32>()]);
    prop_oneof![
        8 => (status, hint(), hint()).prop_map(|(status, retry_after, body_wait)| Reaction::Response {
            status,
            retry_after,
            body_wait,
        }),
        1 => Just(Reaction::Silence),
        1 => prop_oneof![Just(Fault::Reset), Just(Fault::Connect), Just(Fault::Tls)].prop_map(Reaction::Fault),
    ]
}

fn policy() -> impl Strategy<Value = RetryPolicy> {
    (any::<u64>(), 0_u32..8, 1_u64..5_000, 5_000_u64..100_000, 1_u64..400).prop_map(
        |(seed, most, initial, max, max_wait)| {
            RetryPolicy::new()
                .with_seed(seed)
                .with_max_attempts(most)
                .with_initial_delay(Duration::from_millis(initial))
                .with_rate_limit_delay(Duration::from_millis(initial * 2))
                .with_max_delay(Duration::from_millis(max))
                .with_max_wait(Duration::from_secs(max_wait))
        },
    )
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![Just(Method::GET), Just(Method::POST), Just(Method::PUT), Just(Method::PATCH)]
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// No request is sent earlier than a hint allows, more often than the policy allows, or a second time after it may
    /// have had an effect. No wait exceeds the deadline or `max_wait`, and every attempt is reported.
    #[test]
    fn a_call_keeps_its_promises(
        reactions in vec(reaction(), 1..10),
        policy in policy(),
        method in method(),
        deadline in 1_u64..2_000,
    ) {
        run(async {
            let deadline = Duration::from_secs(deadline);
            let reactions: Vec<_> = reactions.iter().cycle().take(20).cloned().collect();
            let service = MockService::<Abaco>::new();
            for reaction in &reactions {
                reaction.add_to(&service);
            }
            let client = service.builder().deadline(deadline).retry(policy).build().unwrap();
            let began = tokio::time::Instant::now();
            let request = match method {
                Method::GET => client.get("/x"),
                Method::POST => client.post("/x"),
                Method::PUT => client.put("/x"),
                _ => client.patch("/x"),
            };
            let result = request.send().await;
            let elapsed = began.elapsed();
            let times = times(&service);
            service.clear();
            let attempts = match &result {
                Ok(response) => response.attempts(),
                Err(error) => error.attempts(),
            };

            prop_assert_eq!(attempts.len(), times.len(), "every request is reported");
            prop_assert!(!times.is_empty() && times.len() <= policy.max_attempts() as usize);
            prop_assert!(elapsed <= deadline + Duration::from_millis(1), "{:?} of {:?}", elapsed, deadline);
            for (number, pair) in times.windows(2).enumerate() {
                let wait = pair[1].saturating_sub(attempts[number].began + attempts[number].took);
                let reaction = &reactions[number];
                // Only the deadline limits the wait for a slot in the window that the limiter has learned.
                let most = match attempts[number].wait_source {
                    Some(WaitSource::Limiter) if number + 2 < policy.max_attempts() as usize => deadline,
                    _ => policy.max_wait() + Duration::from_secs(3),
                };
                prop_assert!(wait >= reaction.hint(), "{:?} after {:?}", wait, reaction);
                prop_assert!(wait > Duration::ZERO, "at once after {:?}", reaction);
                prop_assert!(wait <= most.max(reaction.hint() + Duration::from_secs(11)), "{:?} after {:?}", wait, reaction);
                prop_assert!(method.is_idempotent() || !reaction.may_have_acted(), "twice after {:?}", reaction);
            }
            if let Err(error) = &result {
                prop_assert!(error.stop_reason().is_some());
                if error.stop_reason() == Some(StopReason::WaitTooLong) {
                    prop_assert!(error.retry_at().is_some());
                }
                prop_assert!(!error.to_string().contains('\n'));
            }
            Ok(())
        })?;
    }

    /// The decision never panics, equal arguments give equal decisions, and the wait stays within its bounds.
    #[test]
    fn a_decision_keeps_its_bounds(
        reaction in reaction(),
        policy in policy(),
        method in method(),
        attempt in any::<u32>(),
        remaining in any::<u64>(),
        seed in any::<u64>(),
    ) {
        let Reaction::Response { status, retry_after, .. } = reaction else { return Ok(()) };
        let mut headers = http::HeaderMap::new();
        if let Some(seconds) = retry_after {
            headers.insert("retry-after", seconds.into());
        }
        let status = http::StatusCode::from_u16(status).unwrap();
        let error = ApiError::from_response::<Abaco>(status, &headers, b"{}");
        let mut state = CallState::new(&method);
        (state.attempt, state.seed) = (attempt, seed);
        state.remaining = Duration::from_nanos(remaining);
        let decision = policy.decide(&error, &state);
        prop_assert_eq!(decision, policy.decide(&error, &state));
        if let Decision::Wait { delay, .. } = decision {
            prop_assert!(attempt < policy.max_attempts());
            prop_assert!(delay < state.remaining && delay <= policy.max_wait());
            prop_assert!(delay >= Duration::from_secs(retry_after.unwrap_or(0).into()));
        }
    }

    /// Calls that end or are dropped leave the retry quota within its capacity and all permits available.
    #[test]
    fn the_retry_quota_never_exceeds_its_capacity_and_no_permit_is_lost(
        statuses in vec(prop_oneof![Just(200_u16), Just(500), Just(429), Just(404)], 0..60),
        timeouts in vec(1_u64..3_000, 0..20),
        capacity in 14_u32..100,
    ) {
        run(async {
            let service = MockService::<Abaco>::new();
            for status in &statuses {
                service.any().json(&object()).status(*status);
            }
            service.any().json(&object()).status(500).always();
            let budget = RetryBudget::new().with_capacity(capacity);
            let client = service.builder().deadline(Duration::MAX).retry_budget(budget).max_in_flight(3).build().unwrap();
            let calls: Vec<_> = timeouts
                .iter()
                .map(|timeout| {
                    let (call, timeout) = (client.get("/x").send(), Duration::from_millis(*timeout));
                    tokio::spawn(async move { tokio::time::timeout(timeout, call).await.is_ok() })
                })
                .collect();
            for call in calls {
                call.await.unwrap();
            }
            while service.request_count() < statuses.len() {
                let _ = client.get("/x").retry(RetryPolicy::disabled()).send().await;
                tokio::time::sleep(Duration::from_secs(1)).await; // a paused client sends nothing
            }
            let (before, began) = (service.request_count(), tokio::time::Instant::now());
            let outage = RetryPolicy::new().with_max_attempts(100);
            let error = client.get("/x").retry(outage).send().await.unwrap_err();
            prop_assert_eq!(error.stop_reason(), Some(StopReason::BudgetEmpty));
            // The quota gains a token in 10 s.
            let tokens = capacity as usize + usize::try_from(began.elapsed().as_secs()).unwrap() / 10 + 1;
            prop_assert!(service.request_count() - before <= 1 + tokens / 14);

            // All three permits are available: three requests are in flight at once.
            service.clear();
            client.reset_limits();
            service.any().hangs().times(3);
            let three: Vec<_> = (0..3).map(|_| tokio::spawn(client.get("/x").send())).collect();
            tokio::time::sleep(Duration::from_secs(20)).await;
            prop_assert_eq!(service.in_flight(), 3);
            three.iter().for_each(tokio::task::JoinHandle::abort);
            Ok(())
        })?;
    }
}

//! What holds for every seed, every policy and every sequence of answers.

use std::time::Duration;

use http::Method;
use proptest::collection::vec;
use proptest::prelude::*;
use steadfast::{
    Abaco, ApiError, CallState, Client, Decision, Effect, Fault, RetryBudget, RetryPolicy, StopReason, abaco,
};

use crate::support::scripted_transport::{ScriptedTransport, Step};

/// One answer of a service.
#[derive(Clone, Debug)]
enum Answer {
    Status { status: u16, retry_after: Option<u32>, body_wait: Option<u32> },
    Silence,
    Break(Fault, Effect),
}

impl Answer {
    fn step(&self) -> Step {
        match self {
            Self::Status { status, retry_after, body_wait } => {
                let retry_after = retry_after.map(|seconds| seconds.to_string());
                let headers: Vec<_> = retry_after.iter().map(|seconds| ("retry-after", seconds.as_str())).collect();
                let body = body_wait.map_or("{}".to_owned(), |seconds| format!(r#"{{"retry_after": {seconds}}}"#));
                Step::answer(*status, &headers, &body)
            }
            Self::Silence => Step::Silence,
            Self::Break(fault, sent) => Step::Break(*fault, *sent),
        }
    }

    /// The wait that it asks for.
    fn hint(&self) -> Duration {
        match self {
            Self::Status { retry_after, body_wait, .. } => {
                Duration::from_secs(u64::from((*retry_after).max(*body_wait).unwrap_or(0)))
            }
            Self::Silence | Self::Break(..) => Duration::ZERO,
        }
    }

    /// Whether a request that met it can have acted.
    fn may_have_acted(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status != 429,
            Self::Silence => true,
            Self::Break(_, sent) => *sent == Effect::Possible,
        }
    }
}

fn answer() -> impl Strategy<Value = Answer> {
    let status = prop_oneof![Just(429_u16), Just(503), Just(500), Just(200), Just(404), 100_u16..600];
    let hint = || proptest::option::of(prop_oneof![0_u32..200, any::<u32>()]);
    prop_oneof![
        8 => (status, hint(), hint()).prop_map(|(status, retry_after, body_wait)| Answer::Status {
            status,
            retry_after,
            body_wait,
        }),
        1 => Just(Answer::Silence),
        1 => prop_oneof![
            Just(Answer::Break(Fault::Reset, Effect::Possible)),
            Just(Answer::Break(Fault::Connect, Effect::None)),
            Just(Answer::Break(Fault::Tls, Effect::None)),
        ],
    ]
}

fn policy() -> impl Strategy<Value = RetryPolicy> {
    (any::<u64>(), 0_u32..8, 1_u64..5_000, 5_000_u64..100_000, 1_u64..400).prop_map(
        |(seed, most, base, cap, max_wait)| {
            RetryPolicy::new()
                .with_seed(seed)
                .with_max_attempts(most)
                .with_initial_delay(Duration::from_millis(base))
                .with_rate_limit_delay(Duration::from_millis(base * 2))
                .with_max_delay(Duration::from_millis(cap))
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

fn client(transport: &ScriptedTransport) -> steadfast::ClientBuilder<Abaco> {
    Client::builder(abaco::ApiKey::new("abk_test", "not-a-real-secret").unwrap()).transport(transport.clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// No request earlier than a hint, no more than the policy allows, none twice that may have acted, no wait past the
    /// deadline nor above `max_wait`, and every attempt is told.
    #[test]
    fn a_call_keeps_its_promises(
        answers in vec(answer(), 1..10),
        policy in policy(),
        method in method(),
        deadline in 1_u64..2_000,
    ) {
        run(async {
            let deadline = Duration::from_secs(deadline);
            let answers: Vec<_> = answers.iter().cycle().take(20).cloned().collect();
            let transport = ScriptedTransport::new(answers.iter().map(Answer::step));
            let client = client(&transport).deadline(deadline).retry(policy).build().unwrap();
            let began = tokio::time::Instant::now();
            let request = match method {
                Method::GET => client.get("/x"),
                Method::POST => client.post("/x"),
                Method::PUT => client.put("/x"),
                _ => client.patch("/x"),
            };
            let result = request.send().await;
            let elapsed = began.elapsed();
            let times = transport.times();
            let attempts = match &result {
                Ok(answer) => answer.attempts(),
                Err(error) => error.attempts(),
            };

            prop_assert_eq!(attempts.len(), times.len(), "every request is told");
            prop_assert!(!times.is_empty() && times.len() <= policy.max_attempts() as usize);
            prop_assert!(elapsed <= deadline + Duration::from_millis(1), "{:?} of {:?}", elapsed, deadline);
            for (number, pair) in times.windows(2).enumerate() {
                let wait = pair[1].saturating_sub(attempts[number].began + attempts[number].took);
                let (answer, most) = (&answers[number], policy.max_wait() + Duration::from_millis(500 + 2));
                prop_assert!(wait >= answer.hint(), "{:?} after {:?}", wait, answer);
                prop_assert!(wait > Duration::ZERO, "at once after {:?}", answer);
                prop_assert!(wait <= most.max(answer.hint() + Duration::from_secs(11)), "{:?} after {:?}", wait, answer);
                prop_assert!(method.is_idempotent() || !answer.may_have_acted(), "twice after {:?}", answer);
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

    /// The decision never panics, is the same twice, and its wait is within its bounds.
    #[test]
    fn a_decision_keeps_its_bounds(
        answer in answer(),
        policy in policy(),
        method in method(),
        attempt in any::<u32>(),
        remaining in any::<u64>(),
        seed in any::<u64>(),
    ) {
        let Answer::Status { status, retry_after, .. } = answer else { return Ok(()) };
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

    /// However calls end or are dropped, the bucket gives out no more than it holds and nothing stays behind.
    #[test]
    fn the_bucket_never_exceeds_its_capacity_and_nothing_stays_behind(
        statuses in vec(prop_oneof![Just(200_u16), Just(500), Just(429), Just(404)], 0..60),
        patience in vec(1_u64..3_000, 0..20),
        capacity in 14_u32..100,
    ) {
        run(async {
            let outage = std::iter::repeat_n(500, 200);
            let steps = statuses.iter().copied().chain(outage).map(|status| Step::answer(status, &[], "{}"));
            let transport = ScriptedTransport::new(steps);
            let budget = RetryBudget::new().with_capacity(capacity);
            let client = client(&transport).retry_budget(budget).max_in_flight(3).build().unwrap();
            let calls: Vec<_> = patience
                .iter()
                .map(|patience| {
                    let (call, patience) = (client.get("/x").send(), Duration::from_millis(*patience));
                    tokio::spawn(async move { tokio::time::timeout(patience, call).await.is_ok() })
                })
                .collect();
            for call in calls {
                call.await.unwrap();
            }
            while transport.count() < statuses.len() {
                let _ = client.get("/x").retry(RetryPolicy::disabled()).send().await;
            }
            let before = transport.count();
            let outage = RetryPolicy::new().with_max_attempts(100);
            let error = client.get("/x").retry(outage).send().await.unwrap_err();
            prop_assert_eq!(error.stop_reason(), Some(StopReason::BudgetEmpty));
            prop_assert!(transport.count() - before <= 1 + capacity as usize / 14);

            // All three places at the gate are free: three calls at once are under way at once.
            let before = transport.count();
            let three: Vec<_> =
                (0..3).map(|_| tokio::spawn(client.get("/x").retry(RetryPolicy::disabled()).send())).collect();
            for call in three {
                let _ = call.await.unwrap();
            }
            prop_assert_eq!(transport.count(), before + 3);
            Ok(())
        })?;
    }
}

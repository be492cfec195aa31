//! Retry decisions stay within the bounds of the policy, and no request is resent that could take effect twice.

use std::time::Duration;

use http::Method;
use steadfast::{
    Abaco, ApiError, CallState, Category, Decision, Effect, Fault, FsmNavigator, Limit, Retry, RetryPolicy, Service,
    Stayforge, StopReason, TimeoutError, TransportError, WaitSource,
};

use super::message::{Message, proves_no_effect, row};

/// Decides on one error. The first bytes of the input are the policy and the state; the rest is the response.
pub fn decisions(input: &[u8]) {
    let mut settings = Settings(input);
    let (max_attempts, initial_delay) = (settings.count(), settings.time());
    let (rate_limit_delay, max_delay, max_wait) = (settings.time(), settings.time(), settings.time());
    let policy = RetryPolicy::new()
        .with_max_attempts(max_attempts)
        .with_initial_delay(initial_delay)
        .with_rate_limit_delay(rate_limit_delay)
        .with_max_delay(max_delay)
        .with_max_wait(max_wait);
    let mut state = CallState::new(&Method::GET);
    (state.attempt, state.remaining, state.seed) = (settings.count(), settings.time(), settings.number());
    let flags = settings.byte();
    (state.idempotent, state.replayable) = (flags & 1 == 0, flags & 2 == 0);
    state.retryable = (flags & 8 != 0).then_some(flags & 16 != 0);
    let effect = if flags & 4 == 0 { Effect::Possible } else { Effect::None };

    let error = match settings.byte() % 6 {
        0 => of_response::<Abaco>(settings.0),
        1 => of_response::<FsmNavigator>(settings.0),
        2 | 3 => of_response::<Stayforge>(settings.0),
        4 => {
            let fault = [Fault::Dns, Fault::Connect, Fault::Tls, Fault::Reset][usize::from(settings.byte() % 4)];
            Failed::without_response(TransportError::new(fault, effect).into(), effect)
        }
        _ => Failed::without_response(TimeoutError::new(Limit::Attempt, settings.time(), effect).into(), effect),
    };
    let is_limited = error.error.category() == Some(Category::RateLimited);
    let decision = policy.decide(&error.error, &state);
    assert_eq!(decision, policy.decide(&error.error, &state), "equal arguments give equal decisions");
    assert_eq!(
        decision,
        policy.with_seed(7).decide(&error.error, &state),
        "the jitter depends only on the seed of the state"
    );

    match decision {
        Decision::Wait { delay, source } => {
            assert!(error.error.is_retryable() || state.retryable == Some(true));
            assert!(state.replayable);
            assert!(state.idempotent || error.had_no_effect, "resent after {:?}", error.error);
            assert!(state.attempt < policy.max_attempts() && policy.max_attempts() > 1);
            assert!(delay < state.remaining, "{delay:?} with {:?} left", state.remaining);
            assert!(delay <= max_wait, "{delay:?} over {max_wait:?}");
            assert!(Some(delay) >= error.requested, "{delay:?} before {:?}", error.requested);
            let floor = if is_limited { rate_limit_delay.min(max_delay) } else { initial_delay } / 10;
            assert!(delay >= floor.min(max_delay).min(max_wait), "{delay:?} under {floor:?}");
            match source {
                WaitSource::Backoff => assert!(delay <= max_delay, "{delay:?} over {max_delay:?}"),
                WaitSource::Documented => assert!(error.documented.is_some()),
                _ => assert!(error.error.retry_after().is_some_and(|wait| wait <= delay), "{source:?}"),
            }
        }
        Decision::Stop(reason) => assert!(
            match reason {
                StopReason::NotRetryable => !error.error.is_retryable(),
                StopReason::RuledOut => state.retryable == Some(false) && error.documented.is_none(),
                StopReason::MayHaveActed => !state.idempotent && !error.had_no_effect,
                StopReason::AttemptsExhausted => state.attempt >= max_attempts,
                StopReason::WaitTooLong => error.requested > Some(max_wait),
                StopReason::DeadlineWouldPass => state.remaining <= max_wait,
                StopReason::BodyNotReplayable => !state.replayable,
                StopReason::Disabled => max_attempts <= 1,
                _ => false,
            },
            "{reason:?} for {state:?}"
        ),
    }
}

/// An error and its expected properties.
struct Failed {
    error: ApiError,
    had_no_effect: bool,
    documented: Option<Duration>,
    /// The minimum wait that the response or the documentation asks for.
    requested: Option<Duration>,
}

impl Failed {
    fn without_response(error: ApiError, effect: Effect) -> Self {
        Self { error, had_no_effect: effect == Effect::None, documented: None, requested: None }
    }
}

fn of_response<S: Service>(input: &[u8]) -> Failed {
    let message = Message::read(input);
    let error = message.error::<S>();
    let row = row::<S>(&error);
    let documented = row.and_then(|row| match &row.retry {
        Retry::After(seconds) => Some(Duration::from_secs(*seconds.start())),
        _ => None,
    });
    let requested = error.retry_after().max(documented);
    Failed { had_no_effect: proves_no_effect(row, message.status), documented, requested, error }
}

/// A source of settings from bytes, and from zeros after their end.
struct Settings<'a>(&'a [u8]);

impl Settings<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// Returns a count, mostly small and sometimes near the maximum.
    fn count(&mut self) -> u32 {
        match self.byte() {
            u8::MAX => u32::MAX,
            254 => u32::MAX - 1,
            small => small.into(),
        }
    }

    /// Returns a duration of any magnitude.
    fn time(&mut self) -> Duration {
        match self.byte() % 8 {
            0 => Duration::ZERO,
            1 => Duration::MAX,
            2 => Duration::new(self.number(), 999_999_999),
            3 => Duration::from_nanos(self.number()),
            4 => Duration::from_nanos(self.byte().into()),
            5 => Duration::from_secs(self.byte().into()),
            _ => Duration::from_millis((self.number() % 1_000_000) >> (self.byte() % 20)),
        }
    }
}

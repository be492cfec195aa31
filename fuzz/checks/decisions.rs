//! The decision of a policy keeps its bounds and sends nothing twice that may have acted.

use std::time::Duration;

use http::Method;
use steadfast::{
    Abaco, ApiError, CallState, Category, Decision, Effect, Fault, FsmNavigator, Limit, Retry, RetryPolicy, Service,
    Stayforge, StopReason, TimeoutError, TransportError, WaitSource,
};

use super::message::{Message, proves_no_effect, row};

/// Decides on one error with the policy and the state that the input's first bytes give. What is left is the answer.
pub fn decisions(input: &[u8]) {
    let mut settings = Settings(input);
    let (max_attempts, base) = (settings.count(), settings.time());
    let (rate_limit_base, cap, max_wait) = (settings.time(), settings.time(), settings.time());
    let policy = RetryPolicy::new()
        .with_max_attempts(max_attempts)
        .with_initial_delay(base)
        .with_rate_limit_delay(rate_limit_base)
        .with_max_delay(cap)
        .with_max_wait(max_wait);
    let mut state = CallState::new(&Method::GET);
    (state.attempt, state.remaining, state.seed) = (settings.count(), settings.time(), settings.number());
    let flags = settings.byte();
    (state.idempotent, state.replayable) = (flags & 1 == 0, flags & 2 == 0);
    let sent = if flags & 4 == 0 { Effect::Possible } else { Effect::None };

    let error = match settings.byte() % 6 {
        0 => of_answer::<Abaco>(settings.0),
        1 => of_answer::<FsmNavigator>(settings.0),
        2 | 3 => of_answer::<Stayforge>(settings.0),
        4 => {
            let fault = [Fault::Dns, Fault::Connect, Fault::Tls, Fault::Reset][usize::from(settings.byte() % 4)];
            Failed::without_answer(TransportError::new(fault, sent).into(), sent)
        }
        _ => Failed::without_answer(TimeoutError::new(Limit::Attempt, settings.time(), sent).into(), sent),
    };
    let is_limited = error.error.category() == Some(Category::RateLimited);
    let decision = policy.decide(&error.error, &state);
    assert_eq!(decision, policy.decide(&error.error, &state), "the same arguments, the same decision");
    assert_eq!(decision, policy.with_seed(7).decide(&error.error, &state), "the jitter is of the state's seed");

    match decision {
        Decision::Wait { delay, source } => {
            assert!(error.error.is_retryable() && state.replayable);
            assert!(state.idempotent || error.had_no_effect, "twice after {:?}", error.error);
            assert!(state.attempt < policy.max_attempts() && policy.max_attempts() > 1);
            assert!(delay < state.remaining, "{delay:?} with {:?} left", state.remaining);
            assert!(delay <= max_wait, "{delay:?} over {max_wait:?}");
            assert!(Some(delay) >= error.asked, "{delay:?} before {:?}", error.asked);
            let floor = if is_limited { rate_limit_base } else { base } / 10;
            assert!(delay >= floor.min(cap).min(max_wait), "{delay:?} under {floor:?}");
            match source {
                WaitSource::Backoff => assert!(delay <= cap, "{delay:?} over {cap:?}"),
                WaitSource::Documented => assert!(error.documented.is_some()),
                _ => assert!(error.error.retry_after().is_some_and(|wait| wait <= delay), "{source:?}"),
            }
        }
        Decision::Stop(reason) => assert!(
            match reason {
                StopReason::NotRetryable => !error.error.is_retryable(),
                StopReason::MayHaveActed => !state.idempotent && !error.had_no_effect,
                StopReason::AttemptsExhausted => state.attempt >= max_attempts,
                StopReason::WaitTooLong => error.asked > Some(max_wait),
                StopReason::DeadlineWouldPass => state.remaining <= max_wait,
                StopReason::BodyNotReplayable => !state.replayable,
                StopReason::Disabled => max_attempts <= 1,
                _ => false,
            },
            "{reason:?} for {state:?}"
        ),
    }
}

/// An error, and what is known of it besides.
struct Failed {
    error: ApiError,
    had_no_effect: bool,
    documented: Option<Duration>,
    /// The least wait that the answer or its page asks for.
    asked: Option<Duration>,
}

impl Failed {
    fn without_answer(error: ApiError, sent: Effect) -> Self {
        Self { error, had_no_effect: sent == Effect::None, documented: None, asked: None }
    }
}

fn of_answer<S: Service>(input: &[u8]) -> Failed {
    let message = Message::read(input);
    let error = message.error::<S>();
    let row = row::<S>(&error);
    let documented = row.and_then(|row| match &row.retry {
        Retry::After(seconds) => Some(Duration::from_secs(*seconds.start())),
        _ => None,
    });
    let asked = error.retry_after().max(documented);
    Failed { had_no_effect: proves_no_effect(row, message.status), documented, asked, error }
}

/// Settings out of bytes; where these are at an end, zeros.
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

    /// Mostly small, and sometimes the greatest.
    fn count(&mut self) -> u32 {
        match self.byte() {
            u8::MAX => u32::MAX,
            254 => u32::MAX - 1,
            small => small.into(),
        }
    }

    /// Of every size.
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

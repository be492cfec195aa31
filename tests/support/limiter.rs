//! How services limit their callers.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "each test and example uses its own part"
)]

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How a service limits its callers.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// So many requests in each window; windows follow one another from the first request on.
    Fixed { requests: usize, window: Duration },
    /// So many requests in any stretch of time of this length.
    Rolling { requests: usize, window: Duration },
    /// Tokens that come in steadily, up to a burst.
    Bucket { per_second: f64, burst: f64 },
}

/// Counts what a limit counts.
#[derive(Debug, Default)]
pub struct Limiter {
    taken: VecDeque<Instant>,
    window: Option<Instant>,
    tokens: Option<(f64, Instant)>,
}

impl Limiter {
    /// Takes a request or says how long to wait.
    pub fn take(&mut self, limit: Limit, now: Instant) -> Result<(), Duration> {
        match limit {
            Limit::Fixed { requests, window } => {
                let began = *self.window.get_or_insert(now);
                let windows = now.duration_since(began).as_nanos() / window.as_nanos();
                if windows > 0 {
                    self.window = Some(began + window * u32::try_from(windows).expect("not so many"));
                    self.taken.clear();
                }
                if self.taken.len() < requests {
                    self.taken.push_back(now);
                    return Ok(());
                }
                Err(self.window.expect("it began") + window - now)
            }
            Limit::Rolling { requests, window } => {
                while self.taken.front().is_some_and(|time| now.duration_since(*time) >= window) {
                    self.taken.pop_front();
                }
                if self.taken.len() < requests {
                    self.taken.push_back(now);
                    return Ok(());
                }
                Err(self.taken[self.taken.len() - requests] + window - now)
            }
            Limit::Bucket { per_second, burst } => {
                let (tokens, since) = self.tokens.unwrap_or((burst, now));
                let tokens = burst.min(tokens + now.duration_since(since).as_secs_f64() * per_second);
                if tokens >= 1.0 {
                    self.tokens = Some((tokens - 1.0, now));
                    return Ok(());
                }
                self.tokens = Some((tokens, now));
                Err(Duration::from_secs_f64((1.0 - tokens) / per_second))
            }
        }
    }

    /// How many more requests are taken in the present window, and until when.
    pub fn quota(&self, limit: Limit, now: Instant) -> (usize, Instant) {
        match limit {
            Limit::Fixed { requests, window } => {
                (requests.saturating_sub(self.taken.len()), self.window.unwrap_or(now) + window)
            }
            Limit::Rolling { requests, window } => (requests.saturating_sub(self.taken.len()), now + window),
            Limit::Bucket { per_second, .. } => {
                let tokens = self.tokens.map_or(0.0, |(tokens, _)| tokens);
                (tokens as usize, now + Duration::from_secs_f64(1.0 / per_second))
            }
        }
    }
}

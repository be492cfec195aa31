//! A rate limit of a service, implemented independently of the test kit, and the time that an ideal client needs.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "the numbers are small"
)]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Timers and sums of seconds are exact to this.
const PRECISION: f64 = 1e-9;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fixed,
    Rolling,
    Bucket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reports {
    Nothing,
    RetryAfter,
    /// A `Retry-After`, and with each response the remaining requests and the seconds until the reset.
    Quota,
}

/// A rate limit. Times are seconds since the start.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) limit: usize,
    pub(crate) window: f64,
    pub(crate) reports: Reports,
    start: f64,
    count: usize,
    accepted: VecDeque<f64>,
    tokens: f64,
    filled: f64,
}

impl Server {
    pub(crate) fn new(kind: Kind, (limit, window): (usize, f64), reports: Reports) -> Self {
        Self {
            kind,
            limit,
            window,
            reports,
            start: f64::NEG_INFINITY,
            count: 0,
            accepted: VecDeque::new(),
            tokens: limit as f64,
            filled: 0.0,
        }
    }

    fn advance(&mut self, now: f64) {
        match self.kind {
            Kind::Fixed if now >= self.start + self.window => (self.start, self.count) = (now, 0),
            Kind::Fixed => {}
            Kind::Rolling => {
                let begin = now - self.window + PRECISION;
                self.accepted.drain(..self.accepted.partition_point(|accepted| *accepted <= begin));
            }
            Kind::Bucket => {
                let limit = self.limit as f64;
                self.tokens = (self.tokens + (now - self.filled) * limit / self.window).min(limit);
                self.filled = now;
            }
        }
    }

    /// Accepts a request, or returns the time until one is accepted.
    pub(crate) fn accept(&mut self, now: f64) -> Result<(), f64> {
        self.advance(now);
        let wait = self.wait(now);
        if wait > 0.0 {
            return Err(wait);
        }
        match self.kind {
            Kind::Fixed => self.count += 1,
            Kind::Rolling => self.accepted.push_back(now),
            Kind::Bucket => self.tokens -= 1.0,
        }
        Ok(())
    }

    fn wait(&self, now: f64) -> f64 {
        let limit = self.limit;
        match self.kind {
            Kind::Fixed if self.count >= limit => self.start + self.window - now,
            Kind::Rolling if self.accepted.len() >= limit => {
                self.accepted[self.accepted.len() - limit] + self.window - now
            }
            Kind::Bucket if self.tokens < 1.0 - PRECISION => (1.0 - self.tokens) * self.window / limit as f64,
            _ => 0.0,
        }
    }

    /// Returns the `Retry-After` of a throttling response, in seconds.
    pub(crate) fn retry_after(&self, wait: f64) -> Option<u64> {
        (self.reports != Reports::Nothing).then(|| whole(wait).max(1))
    }

    /// Returns the remaining requests and the seconds until the reset.
    pub(crate) fn quota(&mut self, now: f64) -> Option<(usize, u64)> {
        if self.reports != Reports::Quota {
            return None;
        }
        self.advance(now);
        let limit = self.limit;
        let (remaining, reset) = match self.kind {
            Kind::Fixed => (limit.saturating_sub(self.count), self.start + self.window),
            Kind::Rolling => {
                let oldest = self.accepted.front().copied().unwrap_or(now);
                (limit.saturating_sub(self.accepted.len()), oldest + self.window)
            }
            Kind::Bucket => ((self.tokens + PRECISION) as usize, now + self.window / limit as f64),
        };
        Some((remaining, whole(reset - now)))
    }
}

/// Returns a time in whole seconds, rounded up.
fn whole(seconds: f64) -> u64 {
    (seconds - PRECISION).ceil().max(0.0) as u64
}

/// Returns the time in which a client makes all calls that knows the limit and has this many requests in flight.
pub(crate) fn ideal(server: &Server, latency: f64, calls: usize, max_in_flight: usize) -> f64 {
    ideal_from(server.clone(), 0.0, latency, calls, max_in_flight)
}

/// Returns the time in which an oracle makes all calls that learns the limit from its first throttling response: it
/// sends a first burst, waits as requested, and is ideal from then on.
pub(crate) fn ideal_after_a_burst(server: &Server, latency: f64, calls: usize, max_in_flight: usize) -> f64 {
    let mut after = server.clone();
    let burst = calls.min(max_in_flight).min(32);
    let waits: Vec<f64> = (0..burst).filter_map(|_| after.accept(latency / 2.0).err()).collect();
    let Some(wait) = waits.first() else { return ideal(server, latency, calls, max_in_flight) };
    let requested = f64::from(u32::try_from(after.retry_after(*wait).unwrap_or(0)).expect("a short wait"));
    ideal_from(after, latency * 1.1 + requested, latency, calls - burst + waits.len(), max_in_flight)
}

fn ideal_from(mut server: Server, start: f64, latency: f64, calls: usize, max_in_flight: usize) -> f64 {
    let (mut now, mut last) = (start, 0.0_f64);
    let mut ends = BinaryHeap::new();
    for _ in 0..calls {
        if ends.len() >= max_in_flight {
            let Reverse(end): Reverse<u64> = ends.pop().expect("an end");
            now = now.max(end as f64 * PRECISION);
        }
        while let Err(wait) = server.accept(now + latency / 2.0) {
            now += wait.max(1e-6);
        }
        last = last.max(now + latency);
        ends.push(Reverse(((now + latency) / PRECISION) as u64));
    }
    last
}

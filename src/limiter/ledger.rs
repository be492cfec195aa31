//! The requests of a lane that the service accepted or that are in flight, by send time.

use std::collections::VecDeque;

/// Seconds since the limiter was created.
pub(crate) type Seconds = f64;

/// The number of requests that a ledger remembers. A larger window is followed as a shorter one with the same rate.
pub(crate) const MOST: usize = 1024;

/// The bit that marks the numbers of requests that were admitted without the lock.
pub(crate) const IDLE: u64 = 1 << 55;

/// The reason for which a request was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No limit is known.
    Free,
    /// A place in the known window has come.
    Slot,
    /// It is the first request after a pause.
    First,
    /// It is a probe beyond the limit, before a place in the window has come.
    Beyond,
    /// It is a probe of a shorter window.
    Early,
    /// The reported quota allows it.
    Quota,
    /// It is a probe of the next quota, after the reset of one that was used up.
    QuotaProbe,
}

/// One request that was sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sent {
    /// The number of the request. Numbers increase in the order of sending.
    pub(crate) number: u64,
    /// The time it was sent.
    pub(crate) at: Seconds,
    /// The reason for which it was admitted.
    pub(crate) kind: Kind,
}

/// One request of the ledger.
#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u64,
    sent: Seconds,
    /// The reason for which it was admitted, until its response arrives.
    open: Option<Kind>,
}

/// The last [`MOST`] requests that were accepted or are in flight, in the order of sending.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: VecDeque<Entry>,
}

impl Ledger {
    /// Adds a request. Send times never decrease. Requests that were admitted without the lock have the number 0.
    pub(crate) fn push(&mut self, number: u64, sent: Seconds, open: Option<Kind>) {
        if self.entries.len() >= MOST {
            self.entries.pop_front();
        }
        let sent = self.last().map_or(sent, |last| last.max(sent));
        self.entries.push_back(Entry { number, sent, open });
    }

    /// Records that a request is no longer in flight. Returns the reason for its admission, if it was in flight.
    pub(crate) fn close(&mut self, number: u64, sent: Seconds) -> Option<Kind> {
        match self.find(number, sent) {
            Some(index) => self.entries.get_mut(index)?.open.take(),
            // The ledger is full, and newer requests have replaced it.
            None if self.sent(0).is_some_and(|first| sent < first) => Some(Kind::Free),
            None => None,
        }
    }

    /// Records that no response to a request is expected. Returns the reason for its admission and its send time, if it
    /// was in flight.
    pub(crate) fn give_up(&mut self, number: u64) -> Option<(Kind, Seconds)> {
        let entry = self.entries.iter_mut().find(|entry| entry.number == number)?;
        Some((entry.open.take()?, entry.sent))
    }

    /// Removes a request that the service did not accept.
    pub(crate) fn remove(&mut self, number: u64, sent: Seconds) {
        if let Some(index) = self.find(number, sent) {
            self.entries.remove(index);
        }
    }

    fn find(&self, number: u64, sent: Seconds) -> Option<usize> {
        let start = self.before(sent);
        let number = if number & IDLE == 0 { number } else { 0 };
        let mut entries = self.entries.range(start..).take_while(|entry| entry.sent <= sent);
        Some(start.saturating_add(entries.position(|entry| entry.number == number)?))
    }

    /// Returns the number of requests remembered.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the send time of the request at `index`, oldest first.
    pub(crate) fn sent(&self, index: usize) -> Option<Seconds> {
        self.entries.get(index).map(|entry| entry.sent)
    }

    /// Returns the send time of the newest request.
    pub(crate) fn last(&self) -> Option<Seconds> {
        self.entries.back().map(|entry| entry.sent)
    }

    /// Returns the send time of the `n`th request from the end, from 1.
    pub(crate) fn nth_last(&self, n: usize) -> Option<Seconds> {
        self.sent(self.entries.len().checked_sub(n)?)
    }

    /// Returns the number of requests sent before `time`.
    pub(crate) fn before(&self, time: Seconds) -> usize {
        self.entries.partition_point(|entry| entry.sent < time)
    }

    /// Returns the number of requests sent at `time` or earlier.
    pub(crate) fn up_to(&self, time: Seconds) -> usize {
        self.entries.partition_point(|entry| entry.sent <= time)
    }

    /// Returns the number of requests without a response that were sent at `time` or later, other than `except`.
    pub(crate) fn open_since(&self, time: Seconds, except: u64) -> usize {
        let entries = self.entries.range(self.before(time)..);
        entries.filter(|entry| entry.open.is_some() && entry.number != except).count()
    }

    /// Returns the send time of the first request of the run that ends at `time`. In a run, each request follows the
    /// previous one within `gap`.
    pub(crate) fn run_start(&self, time: Seconds, gap: Seconds) -> Seconds {
        let mut first = time;
        for entry in self.entries.range(..self.up_to(time)).rev() {
            if first - entry.sent > gap {
                break;
            }
            first = entry.sent;
        }
        first
    }
}

/// Returns a number of requests as a factor for [`Seconds`].
pub(crate) fn count(requests: usize) -> f64 {
    u32::try_from(requests).map_or(f64::from(u32::MAX), f64::from)
}

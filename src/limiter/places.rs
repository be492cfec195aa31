//! The places of the requests in flight. Each has a time at which it can be taken back.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, Release, SeqCst};
use std::time::Duration;

use super::lane::Lane;
use super::ledger::Seconds;
use super::sends;

/// The ticket of a slot while it is being taken.
const TAKING: u64 = 1;
const NUMBER_BITS: u32 = 56;
/// The distance between the slots at which two threads begin to search, so that they do not share a cache line.
const STRIDE: usize = 16;

/// The ticket of a request: its lane and its number. It is unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl Ticket {
    pub(crate) fn new(lane: Lane, number: u64) -> Self {
        let lane = u64::from(lane.index()).saturating_add(1);
        Self(lane << NUMBER_BITS | number & ((1 << NUMBER_BITS) - 1))
    }

    /// Returns the index of the lane.
    pub(crate) fn lane(self) -> u8 {
        u8::try_from((self.0 >> NUMBER_BITS).saturating_sub(1)).unwrap_or(u8::MAX)
    }

    /// Returns the number of the request.
    pub(crate) fn number(self) -> u64 {
        self.0 & ((1 << NUMBER_BITS) - 1)
    }
}

/// A place that a request holds.
#[derive(Debug)]
pub(crate) struct Place {
    slot: usize,
    ticket: Ticket,
}

#[derive(Debug)]
struct Slot {
    /// The ticket of the request, or 0 if the slot is free.
    ticket: AtomicU64,
    /// The time at which the place can be taken back, in milliseconds. It counts while a request holds the slot: a
    /// request writes it before its ticket, and a reader reads the ticket first.
    end: AtomicU64,
}

impl Slot {
    /// Returns the ticket of the request that holds the slot, if one does.
    fn ticket(&self) -> Option<u64> {
        Some(self.ticket.load(SeqCst)).filter(|ticket| *ticket > TAKING)
    }
}

/// The `max_in_flight` places. Taking and freeing one needs no lock.
#[derive(Debug)]
pub(crate) struct Places(Box<[Slot]>);

impl Places {
    pub(crate) fn new(max_in_flight: usize) -> Self {
        let slot = |_| Slot { ticket: AtomicU64::new(0), end: AtomicU64::new(0) };
        Self((0..max_in_flight).map(slot).collect())
    }

    /// Returns the number of free places.
    pub(crate) fn free(&self) -> usize {
        // This load is ordered after the store to `is_waiting`. A request that frees its place later sees the waiter.
        self.0.iter().filter(|slot| slot.ticket.load(SeqCst) == 0).count()
    }

    /// Takes a place until `end`. Returns `None` if none is free.
    pub(crate) fn take(&self, ticket: Ticket, end: Seconds) -> Option<Place> {
        let start = sends::thread_index().wrapping_mul(STRIDE).checked_rem(self.0.len())?;
        let (before, after) = self.0.split_at_checked(start)?;
        let indexes = (start..self.0.len()).chain(0..start);
        for (slot, index) in after.iter().chain(before).zip(indexes) {
            if slot.ticket.load(Relaxed) == 0 && slot.ticket.compare_exchange(0, TAKING, SeqCst, Relaxed).is_ok() {
                slot.end.store(milliseconds(end), Relaxed);
                slot.ticket.store(ticket.0, Release);
                return Some(Place { slot: index, ticket });
            }
        }
        None
    }

    /// Frees a place, unless it has been taken back.
    pub(crate) fn free_place(&self, place: &Place) {
        if let Some(slot) = self.0.get(place.slot) {
            empty(slot, place.ticket.0);
        }
    }

    /// Takes back the places whose end has passed. Returns their tickets.
    pub(crate) fn take_back(&self, now: Seconds) -> Vec<Ticket> {
        let now = milliseconds(now);
        let held = self.0.iter().filter_map(|slot| Some((slot, slot.ticket()?)));
        let overdue = held.filter(|(slot, ticket)| slot.end.load(Relaxed) < now && empty(slot, *ticket));
        overdue.map(|(_, ticket)| Ticket(ticket)).collect()
    }

    /// Returns the time at which the next place can be taken back, which is infinite if all are free.
    pub(crate) fn next_end(&self) -> Seconds {
        let ends = self.0.iter().filter(|slot| slot.ticket().is_some()).map(|slot| slot.end.load(Relaxed));
        ends.min().map_or(f64::INFINITY, |end| Duration::from_millis(end.saturating_add(1)).as_secs_f64())
    }

    /// Returns the number of places that a lane holds.
    pub(crate) fn of_lane(&self, lane: Lane) -> usize {
        self.0.iter().filter_map(Slot::ticket).filter(|ticket| Ticket(*ticket).lane() == lane.index()).count()
    }
}

/// Empties a slot if it still holds `ticket`. Returns true if it did.
fn empty(slot: &Slot, ticket: u64) -> bool {
    slot.ticket.compare_exchange(ticket, 0, SeqCst, Relaxed).is_ok()
}

/// Returns a time in milliseconds, rounded down.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
fn milliseconds(time: Seconds) -> u64 {
    (time * 1000.0).min(1e18) as u64
}

//! The send times of a lane's requests while no limit is known, without a lock.

use std::cell::Cell;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU64, AtomicUsize};

use super::ledger::{IDLE, MOST, Seconds};
use super::window::ResponseTime;

/// The number of shards. Each thread writes to one of them, so threads rarely share a cache line.
const SHARDS: usize = 4;
/// The number of send times that a shard remembers.
const TIMES: usize = MOST / 2;
/// The bit of `word` that is set while requests must use the locked state.
const BUSY: u64 = 1 << 63;
const SHARD_BIT: u32 = 48;
/// The recorded time of a request that was cancelled before it was sent.
const NOT_SENT: u64 = u64::MAX;

static THREADS: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    static THREAD: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Returns the index of the current thread: threads are numbered from 0 as they first call this.
pub(crate) fn thread_index() -> usize {
    THREAD.get().unwrap_or_else(|| {
        let index = THREADS.fetch_add(1, Relaxed);
        THREAD.set(Some(index));
        index
    })
}

/// See the module. In a box, because few of a limiter's lanes are ever used.
#[derive(Debug)]
pub(crate) struct Sends(Box<[Shard; SHARDS]>);

#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    /// The number of requests, and [`BUSY`].
    word: AtomicU64,
    /// The mean response time and its deviation, as two `f32`.
    response_time: AtomicU64,
    /// The send times of the last requests, in microseconds.
    times: Box<[AtomicU64]>,
}

impl Shard {
    fn is_busy(&self) -> bool {
        self.word.load(SeqCst) & BUSY != 0
    }
}

impl Default for Sends {
    fn default() -> Self {
        Self(Box::new(std::array::from_fn(|_| Shard {
            word: AtomicU64::new(BUSY),
            response_time: AtomicU64::new(0),
            times: (0..TIMES).map(|_| AtomicU64::new(0)).collect(),
        })))
    }
}

/// The requests that were recorded without the lock.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    /// The send times of the last requests, oldest first.
    pub(crate) times: Vec<Seconds>,
    /// The number of requests.
    pub(crate) requests: u64,
    /// The mean response time.
    pub(crate) response_time: Option<ResponseTime>,
}

impl Sends {
    fn shard(&self) -> (usize, &Shard) {
        let index = thread_index() % SHARDS;
        let [first, ..] = &*self.0;
        (index, self.0.get(index).unwrap_or(first))
    }

    /// Returns true while requests must use the locked state.
    pub(crate) fn is_busy(&self) -> bool {
        self.shard().1.is_busy()
    }

    /// Records a request. Returns its number and its recorded send time, or `None` if it must use the locked state.
    pub(crate) fn add(&self, now: Seconds) -> Option<(u64, Seconds)> {
        let (index, shard) = self.shard();
        if shard.is_busy() {
            return None;
        }
        let word = shard.word.fetch_add(1, SeqCst);
        if word & BUSY != 0 {
            return None;
        }
        let microseconds = microseconds(now);
        let place = usize::try_from(word).ok()?.checked_rem(TIMES)?;
        shard.times.get(place)?.store(microseconds, Relaxed);
        let number = IDLE | (index as u64) << SHARD_BIT | word & ((1 << SHARD_BIT) - 1);
        Some((number, seconds(microseconds)))
    }

    /// Removes a request that this thread recorded and that is not sent.
    pub(crate) fn cancel(&self, number: u64) {
        let place = usize::try_from(number & ((1 << SHARD_BIT) - 1)).unwrap_or(0).checked_rem(TIMES);
        if let Some(time) = place.and_then(|place| self.shard().1.times.get(place)) {
            time.store(NOT_SENT, Relaxed);
        }
    }

    /// Records the time of a response. Returns false if it must be reported to the locked state.
    pub(crate) fn responded(&self, time: Seconds) -> bool {
        let shard = self.shard().1;
        let is_idle = !shard.is_busy();
        if is_idle {
            let known = unpack(shard.response_time.load(Relaxed));
            shard.response_time.store(pack(ResponseTime::with(known, time)), Relaxed);
        }
        is_idle
    }

    /// Makes requests use the locked state. Returns the requests recorded without it; `None` if they already used it.
    pub(crate) fn set_busy(&self) -> Option<Imported> {
        let mut imported = Imported::default();
        let mut was_idle = false;
        for shard in &*self.0 {
            let word = shard.word.fetch_or(BUSY, SeqCst);
            if word & BUSY != 0 {
                continue;
            }
            was_idle = true;
            imported.requests = imported.requests.saturating_add(word);
            let recorded = usize::try_from(word).unwrap_or(TIMES).min(TIMES);
            let times = shard.times.iter().take(recorded).map(|time| time.load(Relaxed));
            let sent = times.filter(|time| *time != NOT_SENT);
            imported.times.extend(sent.map(seconds));
            let time = unpack(shard.response_time.load(Relaxed));
            imported.response_time = match (imported.response_time, time) {
                (Some(one), Some(other)) if one.mean > other.mean => Some(one),
                (one, other) => other.or(one),
            };
        }
        imported.times.sort_by(f64::total_cmp);
        was_idle.then_some(imported)
    }

    /// Lets requests start without the locked state.
    pub(crate) fn set_idle(&self, response_time: Option<ResponseTime>) {
        for shard in &*self.0 {
            shard.response_time.store(response_time.map_or(0, pack), Relaxed);
            shard.word.store(0, SeqCst);
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a mean needs no precision")]
fn pack(time: ResponseTime) -> u64 {
    let half = |time: Seconds| u64::from((time as f32).max(f32::MIN_POSITIVE).to_bits());
    half(time.mean) << 32 | half(time.deviation)
}

fn unpack(word: u64) -> Option<ResponseTime> {
    let half = |word: u64| f64::from(f32::from_bits(u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0)));
    (word != 0).then(|| ResponseTime { mean: half(word >> 32), deviation: half(word) })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
fn microseconds(time: Seconds) -> u64 {
    (time * 1e6).min(1e18) as u64
}

#[allow(clippy::cast_precision_loss, reason = "a time of 285 years is still exact")]
fn seconds(microseconds: u64) -> Seconds {
    microseconds as f64 / 1e6
}

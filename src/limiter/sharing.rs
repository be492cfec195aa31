//! The exchange of notices with other processes, for the task that talks to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::lane::{LANES, Lane};
use super::ledger::Seconds;
use super::notice::{Kept, Notice, Process};
use super::shared::Limiter;
use super::shared_lane::SharedLane;

/// The time for which a process counts as present after its last notice, in seconds.
const PRESENT: Seconds = 10.0;
/// The number of processes that are remembered.
const MOST: usize = 1024;

/// The other processes that share the limiter.
#[derive(Debug)]
pub(crate) struct Sharing {
    pub(super) me: Process,
    /// Wakes the task that talks to the others.
    news: Arc<Notify>,
    /// True while there is something to tell at once.
    is_urgent: AtomicBool,
    /// True until the client has joined the others, or has waited for that for long enough.
    is_joining: AtomicBool,
    /// True while the client is not connected.
    is_deaf: AtomicBool,
    /// The number of processes that are present, including this one.
    present: AtomicUsize,
    heard: Mutex<BTreeMap<Process, Seconds>>,
}

impl Sharing {
    pub(super) fn lane(self: &Arc<Self>) -> Box<SharedLane> {
        Box::new(SharedLane::new(self))
    }

    /// Returns the number of processes that are present, and whether the client is not connected.
    pub(super) fn present(&self) -> (usize, bool) {
        (self.present.load(Ordering::Relaxed), self.is_deaf.load(Ordering::Relaxed))
    }

    /// Wakes the task if a lane has something to tell.
    pub(super) fn wake_if<'a>(&self, lanes: impl Iterator<Item = &'a SharedLane>) {
        for lane in lanes.filter(|lane| lane.is_to_tell()) {
            self.is_urgent.fetch_or(lane.is_urgent(), Ordering::Relaxed);
            self.news.notify_one();
        }
    }

    /// Records that a process was heard at `now`, and forgets those that have not been heard for long.
    fn heard(&self, process: Option<Process>, now: Seconds) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(process) = process.filter(|process| heard.len() < MOST || heard.contains_key(process)) {
            heard.insert(process, now);
        }
        if !self.is_deaf.load(Ordering::Relaxed) {
            heard.retain(|_, at| now - *at <= PRESENT);
        }
        self.present.store(heard.len().saturating_add(1), Ordering::Relaxed);
    }
}

impl<R> Limiter<R> {
    /// Shares the limiter with other processes. This one is identified by a random number.
    #[must_use]
    pub(crate) fn shared_as(mut self, me: Process) -> Self {
        self.sharing = Some(Arc::new(Sharing {
            me,
            news: Arc::new(Notify::new()),
            is_urgent: AtomicBool::new(false),
            is_joining: AtomicBool::new(true),
            is_deaf: AtomicBool::new(true),
            present: AtomicUsize::new(1),
            heard: Mutex::default(),
        }));
        self
    }

    /// Returns true while calls wait until the client has joined the other processes.
    pub(crate) fn is_joining(&self) -> bool {
        self.sharing.as_ref().is_some_and(|sharing| sharing.is_joining.load(Ordering::Relaxed))
    }

    /// Lets calls start.
    pub(crate) fn end_joining(&self) {
        if let Some(sharing) = &self.sharing {
            sharing.is_joining.store(false, Ordering::Relaxed);
        }
    }

    /// Returns the signal that there is something to tell.
    pub(crate) fn news(&self) -> Option<Arc<Notify>> {
        self.sharing.as_ref().map(|sharing| Arc::clone(&sharing.news))
    }

    /// Returns true if there is something to tell at once.
    pub(crate) fn is_urgent(&self) -> bool {
        self.sharing.as_ref().is_some_and(|sharing| sharing.is_urgent.swap(false, Ordering::Relaxed))
    }

    /// Records whether the client is connected to the other processes.
    pub(crate) fn set_connected(&self, is_connected: bool, now: Instant) {
        if let Some(sharing) = &self.sharing {
            sharing.is_deaf.store(!is_connected, Ordering::Relaxed);
            sharing.heard(None, self.seconds(now));
            if is_connected {
                // What was stated meanwhile was not heard.
                let mut state = self.lock();
                state.lanes.values_mut().filter_map(|entry| entry.shared.as_mut()).for_each(|shared| shared.repeat());
                self.settle(self.seconds(now), state);
            }
        }
    }

    /// Returns the notice that this process is present.
    pub(crate) fn presence(&self, now: Instant) -> Option<Notice> {
        let sharing = self.sharing.as_ref()?;
        sharing.heard(None, self.seconds(now));
        Some(Notice { process: sharing.me, word: None })
    }

    /// Returns true if the notice is this process's own.
    pub(crate) fn is_own(&self, notice: &Notice) -> bool {
        self.sharing.as_ref().is_some_and(|sharing| sharing.me == notice.process)
    }

    /// Records the notice of another process.
    pub(crate) fn hear(&self, notice: Notice, now: Instant) {
        let Some(sharing) = &self.sharing else { return };
        let Notice { process, word } = notice;
        sharing.heard(Some(process), self.seconds(now));
        let Some(word) = word else { return };
        let time = self.seconds(now);
        self.update(Lane::unnamed(word.lane), now, |entry, _| {
            if let Some(shared) = &mut entry.shared {
                shared.hear(&mut entry.state, process, word, time);
            }
        });
    }

    /// Records what is kept for processes that join, of a window that lasts for another `left`.
    pub(crate) fn join(&self, lane: u8, kept: Kept, left: Seconds, now: Instant) {
        let time = self.seconds(now);
        self.update(Lane::unnamed(lane), now, |entry, _| {
            if let Some(shared) = &mut entry.shared {
                shared.join(&mut entry.state, kept, left, time);
            }
        });
    }

    /// Returns the notices that are to be told. A notice may come with what is kept for processes that join later, and
    /// with the time for which it is kept.
    pub(crate) fn notices(&self, now: Instant) -> Vec<(Notice, Option<(Kept, Duration)>)> {
        let Some(sharing) = &self.sharing else { return Vec::new() };
        let time = self.seconds(now);
        let mut state = self.lock();
        let mut notices = Vec::new();
        for lane in 0..LANES {
            let Some(entry) = state.lanes.get_mut(&lane) else { continue };
            let Some(shared) = entry.shared.as_mut().filter(|shared| shared.is_to_tell()) else { continue };
            let (word, kept) = shared.tell(&entry.state, lane, entry.queue.len(), time);
            let kept = kept.map(|kept| (kept, kept.lasts(word.left)));
            notices.push((Notice { process: sharing.me, word: Some(word) }, kept));
        }
        notices
    }

    /// Returns the number of processes that are present, including this one.
    pub(super) fn processes(&self) -> usize {
        self.sharing.as_ref().map_or(1, |sharing| sharing.present().0)
    }
}

//! The other processes that share the limiter, as the lanes and the task that talks need to know them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::ledger::Seconds;
use super::notice::Process;

/// The time for which a process counts as present after its last notice, in seconds.
const PRESENT: Seconds = 10.0;
/// The number of processes that are remembered.
const MOST: usize = 1024;

/// The other processes that share the limiter.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(super) me: Process,
    /// Wakes the task that talks to the others.
    pub(super) news: Arc<Notify>,
    /// True while there is something to tell at once.
    pub(super) is_urgent: AtomicBool,
    /// True until the client has joined the others, or has waited for that for long enough.
    pub(super) is_joining: AtomicBool,
    /// True while the client is not connected.
    pub(super) is_deaf: AtomicBool,
    /// The number of processes that are present, including this one.
    present: AtomicUsize,
    heard: Mutex<BTreeMap<Process, Seconds>>,
}

impl Peers {
    pub(super) fn new(me: Process) -> Self {
        Self {
            me,
            news: Arc::new(Notify::new()),
            is_urgent: AtomicBool::new(false),
            is_joining: AtomicBool::new(true),
            is_deaf: AtomicBool::new(true),
            present: AtomicUsize::new(1),
            heard: Mutex::default(),
        }
    }

    /// Returns the number of processes that are present, and whether the client is not connected.
    pub(super) fn present(&self) -> (usize, bool) {
        (self.present.load(Ordering::Relaxed), self.is_deaf.load(Ordering::Relaxed))
    }

    /// Wakes the task, because a lane has something to tell.
    pub(super) fn wake(&self, is_urgent: bool) {
        self.is_urgent.fetch_or(is_urgent, Ordering::Relaxed);
        self.news.notify_one();
    }

    /// Records that a process was heard at `now`, and forgets those that have not been heard for long.
    pub(super) fn heard(&self, process: Option<Process>, now: Seconds) {
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

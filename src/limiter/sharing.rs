//! The exchange of notices with other processes, for the task that talks to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::lane::{LANES, Lane};
use super::ledger::Seconds;
use super::notice::{Kept, Notice, Process};
use super::peers::Peers;
use super::shared::Limiter;

impl<R> Limiter<R> {
    /// Shares the limiter with other processes. This one is identified by a random number.
    #[must_use]
    pub(crate) fn shared_as(mut self, me: Process) -> Self {
        self.peers = Some(Arc::new(Peers::new(me)));
        self
    }

    /// Returns true while calls wait until the client has joined the other processes.
    pub(crate) fn is_joining(&self) -> bool {
        self.peers.as_ref().is_some_and(|peers| peers.is_joining.load(Ordering::Relaxed))
    }

    /// Lets the next calls wait until the client has joined other processes than before.
    pub(crate) fn start_joining(&self) {
        if let Some(peers) = &self.peers {
            peers.is_joining.store(true, Ordering::Relaxed);
        }
    }

    /// Lets calls start.
    pub(crate) fn end_joining(&self) {
        if let Some(peers) = &self.peers {
            peers.is_joining.store(false, Ordering::Relaxed);
        }
    }

    /// Returns the signal that there is something to tell.
    pub(crate) fn news(&self) -> Option<Arc<Notify>> {
        self.peers.as_ref().map(|peers| Arc::clone(&peers.news))
    }

    /// Returns true if there is something to tell at once.
    pub(crate) fn is_urgent(&self) -> bool {
        self.peers.as_ref().is_some_and(|peers| peers.is_urgent.swap(false, Ordering::Relaxed))
    }

    /// Records whether the client is connected to the other processes.
    pub(crate) fn set_connected(&self, is_connected: bool, now: Instant) {
        if let Some(peers) = &self.peers {
            peers.is_deaf.store(!is_connected, Ordering::Relaxed);
            peers.heard(None, self.seconds(now));
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
        let peers = self.peers.as_ref()?;
        peers.heard(None, self.seconds(now));
        Some(Notice { process: peers.me, word: None })
    }

    /// Returns true if the notice is this process's own.
    pub(crate) fn is_own(&self, notice: &Notice) -> bool {
        self.peers.as_ref().is_some_and(|peers| peers.me == notice.process)
    }

    /// Records the notice of another process.
    pub(crate) fn hear(&self, notice: Notice, now: Instant) {
        let Some(peers) = &self.peers else { return };
        let Notice { process, word } = notice;
        peers.heard(Some(process), self.seconds(now));
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
        let Some(peers) = &self.peers else { return Vec::new() };
        let time = self.seconds(now);
        let mut state = self.lock();
        let mut notices = Vec::new();
        for lane in 0..LANES {
            let Some(entry) = state.lanes.get_mut(&lane) else { continue };
            let Some(shared) = entry.shared.as_mut().filter(|shared| shared.is_to_tell()) else { continue };
            let (word, kept) = shared.tell(&entry.state, lane, entry.queue.len(), time);
            let kept = kept.map(|kept| (kept, kept.lasts(word.left)));
            notices.push((Notice { process: peers.me, word: Some(word) }, kept));
        }
        notices
    }

    /// Returns the number of processes that are present, including this one.
    pub(super) fn processes(&self) -> usize {
        self.peers.as_ref().map_or(1, |peers| peers.present().0)
    }
}

//! A lane whose limit is shared with other processes: the link between the [`Crowd`] and the state of the lane.

use std::sync::Arc;

use super::crowd::{Crowd, Facts, UNKNOWN};
use super::ledger::Seconds;
use super::notice::{Kept, Process, Word};
use super::peers::Peers;
use super::state::LaneState;
use super::window::{LONGEST, LONGEST_PAUSE};

/// The part of a lane that a client needs if it shares its limiter.
#[derive(Debug)]
pub(crate) struct SharedLane {
    peers: Arc<Peers>,
    crowd: Crowd,
    /// Without a share of the limit, the time at which the next round begins.
    held_until: Seconds,
    /// True if the present pause was reported by another process first.
    is_paused_elsewhere: bool,
}

impl SharedLane {
    pub(super) fn new(peers: &Arc<Peers>) -> Self {
        let crowd = Crowd::new(peers.me);
        Self { peers: Arc::clone(peers), crowd, held_until: 0.0, is_paused_elsewhere: false }
    }

    /// Returns true if this process has a statement to make.
    pub(super) fn is_to_tell(&self) -> bool {
        self.crowd.is_to_tell()
    }

    /// Returns true if the others do not know yet that the service has throttled this process.
    pub(super) fn is_urgent(&self) -> bool {
        self.crowd.is_urgent()
    }

    /// Returns true if the present pause was reported by another process first.
    pub(super) fn is_paused_elsewhere(&self) -> bool {
        self.is_paused_elsewhere
    }

    /// Begins the next round if the present one is over. Returns the time until which the process has no share.
    pub(super) fn advance(&mut self, state: &mut LaneState, now: Seconds) -> Option<Seconds> {
        let (present, is_deaf) = self.peers.present();
        state.set_present(present);
        if let Some(division) = self.crowd.advance(now, present, is_deaf) {
            state.share(now, division.share, division.length, division.may_probe);
            self.held_until = division.held_until.unwrap_or(0.0);
        }
        (now < self.held_until).then_some(self.held_until)
    }

    /// Returns the time at which the next round begins.
    pub(super) fn next_round(&self, now: Seconds) -> Option<Seconds> {
        self.crowd.ends().filter(|ends| *ends > now && self.crowd.has_others())
    }

    /// Looks for something that the other processes should know.
    pub(super) fn observe(&mut self, state: &LaneState, now: Seconds, waiting: usize, is_delayed: bool) {
        if self.crowd.is_paused() {
            let (took, is_open) = self.took(state);
            if !is_open {
                self.crowd.correct(took, waiting);
            }
        } else if is_delayed && waiting > 0 {
            let next = if now < self.held_until {
                Some(self.held_until)
            } else {
                state.used_up_until(self.crowd.began(), now)
            };
            if let Some(next) = next {
                self.crowd.used_up(next, waiting);
            }
        }
    }

    /// Records that the service throttled this process.
    pub(super) fn throttled(&mut self, state: &mut LaneState, now: Seconds, has_hint: bool) {
        if let Some(until) = state.throttled_until(now) {
            self.is_paused_elsewhere &= self.crowd.is_paused();
            self.crowd.throttled(until);
            state.throttled_with_others(self.crowd.has_others());
            if !has_hint {
                self.pause_documented(state);
            }
        }
    }

    /// Records the statement of another process.
    pub(super) fn hear(&mut self, state: &mut LaneState, process: Process, word: Word, now: Seconds) {
        self.advance(state, now);
        let was_paused = self.crowd.is_paused();
        let Some(until) = self.crowd.hear(process, word, now) else {
            return self.pause_documented(state);
        };
        self.is_paused_elsewhere |= !was_paused;
        let (took, _) = self.took(state);
        state.pause_elsewhere(now, until, word.length, took);
        self.pause_documented(state);
    }

    /// Records what is kept for processes that join, of a window that lasts for another `left`.
    pub(super) fn join(&mut self, state: &mut LaneState, kept: Kept, left: Seconds, now: Seconds) {
        if kept.length > LONGEST || state.learned().is_some() {
            return;
        }
        let (limit, processes) = (kept.limit as usize, kept.processes as usize);
        let until = now + left.min(LONGEST_PAUSE);
        self.crowd.join(now, until, kept.length, limit, processes);
        state.share(now, if limit == 0 { UNKNOWN } else { limit }, kept.length, false);
        if left > 0.0 {
            self.held_until = until;
        }
    }

    /// Returns the statement of this process, and what is kept for processes that join later.
    pub(super) fn tell(&mut self, state: &LaneState, lane: u8, waiting: usize, now: Seconds) -> (Word, Option<Kept>) {
        let (took, _) = self.took(state);
        // If nothing was accepted, no window is learned, but the service may have requested the length of the pause.
        let (limit, length) = state.measured().map_or((0, state.hinted()), |window| (window.limit, window.length));
        let word = self.crowd.tell(lane, now, Facts { took, want: waiting, limit, length });
        let (limit, processes) = self.crowd.kept();
        let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let kept = Kept { length: word.length, limit: small(limit), processes: small(processes) };
        let is_worth_keeping = word.left > 0.0 && kept.length > 0.0;
        (word, is_worth_keeping.then_some(kept))
    }

    /// Repeats the last statement of this process.
    pub(super) fn repeat(&mut self) {
        self.crowd.repeat();
    }

    /// Forgets everything.
    pub(super) fn reset(&mut self) {
        *self = Self::new(&self.peers);
    }

    /// Returns the number of requests of this process that were accepted in this round or are in flight, and whether
    /// any is.
    fn took(&self, state: &LaneState) -> (usize, bool) {
        let since = if self.crowd.is_paused() { state.window_start(self.crowd.length()) } else { 0.0 };
        state.taken(self.crowd.began().max(since))
    }

    /// Prolongs a pause without a hint, if the requests of all processes have used up a documented limit.
    fn pause_documented(&mut self, state: &mut LaneState) {
        if !self.crowd.is_paused() || state.hinted() > 0.0 {
            return;
        }
        let took = self.crowd.took();
        let is_used_up = |(limit, _): &&(usize, Seconds)| took.saturating_mul(10) >= limit.saturating_mul(9);
        let Some((_, length)) = state.documented().iter().find(is_used_up).copied() else { return };
        let began = self.crowd.began();
        let Some(first) = state.first_since(began) else { return };
        let (own, _) = state.taken(began);
        state.pause_documented(first + length, length, own);
        self.crowd.throttled(first + length);
    }
}

//! The processes that share the limit of a lane: their statements in, the share of this process out.
//!
//! Nothing here reads a clock or waits. Time is divided into rounds, one a window. In each round, every process with
//! calls that wait states their number. When the round ends, each process divides the limit by the same statements, so
//! the shares add up to the limit. A statement that does not arrive is replaced by the expected one: the calls of the
//! previous round, less the share.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::ledger::Seconds;
use super::notice::{Process, Word};

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]
mod tests;

/// The number of processes whose statements are remembered.
const MOST: usize = 1024;
/// The rounds without any statement after which the expected calls of other processes are forgotten.
const SILENT_ROUNDS: f64 = 3.0;
/// The share of a limit that is not known.
pub(crate) const UNKNOWN: usize = usize::MAX;
/// The notices of a process about one round.
const MOST_NOTICES: u8 = 3;

/// One process in the present round.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Member {
    /// The share of the last division.
    share: usize,
    /// The calls that wait, as stated in this round or as expected.
    want: usize,
    /// The accepted requests, if they were stated in this round.
    took: Option<usize>,
    /// The number of notices in this round.
    told: u8,
}

/// The facts about this process that a notice states.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Facts {
    /// The accepted requests of the present round.
    pub(crate) took: usize,
    /// The calls that wait.
    pub(crate) want: usize,
    /// The limit of this process, which may have grown since the division.
    pub(crate) limit: usize,
    pub(crate) length: Seconds,
}

/// The result of a division.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Division {
    /// The requests that this process may send in a window.
    pub(crate) share: usize,
    pub(crate) length: Seconds,
    /// Without a share, the time at which the next round begins.
    pub(crate) held_until: Option<Seconds>,
    /// True if this process probes for a higher limit. Of all processes, one does.
    pub(crate) may_probe: bool,
}

/// The processes that share the limit of one lane.
#[derive(Debug)]
pub(crate) struct Crowd {
    me: Process,
    members: BTreeMap<Process, Member>,
    /// The processes that were reported to a newcomer by number only.
    unnamed: usize,
    /// The limit of all processes together, 0 if it is not known.
    limit: usize,
    length: Seconds,
    /// The start of the present round, and its end if it is known.
    began: Seconds,
    ends: Option<Seconds>,
    /// True if a throttling response ends the round.
    is_paused: bool,
    /// The end of the pause that the service requested from this process.
    own_until: Seconds,
    /// True if this process has a statement to make.
    is_to_tell: bool,
    /// The last statement of this process in this round: accepted requests and waiting calls.
    stated: Option<(usize, usize)>,
}

impl Crowd {
    pub(crate) fn new(me: Process) -> Self {
        Self {
            me,
            members: BTreeMap::new(),
            unnamed: 0,
            limit: 0,
            length: 0.0,
            began: 0.0,
            ends: None,
            is_paused: false,
            own_until: 0.0,
            is_to_tell: false,
            stated: None,
        }
    }

    /// Returns true if statements of other processes count.
    pub(crate) fn has_others(&self) -> bool {
        self.unnamed > 0 || self.members.keys().any(|process| *process != self.me)
    }

    /// Returns the start of the present round.
    pub(crate) fn began(&self) -> Seconds {
        self.began
    }

    /// Returns the end of the present round, if it is known.
    pub(crate) fn ends(&self) -> Option<Seconds> {
        self.ends
    }

    /// Returns true if a throttling response ends the present round.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Returns true if this process has a statement to make.
    pub(crate) fn is_to_tell(&self) -> bool {
        self.is_to_tell
    }

    /// Returns true if the others do not know yet that the service has throttled this process.
    pub(crate) fn is_urgent(&self) -> bool {
        self.is_to_tell && self.is_paused && self.stated.is_none() && self.own_until >= self.ends.unwrap_or(0.0)
    }

    /// Returns the accepted requests of all processes in this round, as far as they are known.
    pub(crate) fn took(&self) -> usize {
        self.members.values().filter_map(|member| member.took).fold(0, usize::saturating_add)
    }

    /// Records that the service throttled this process, and requested a pause until `until`.
    pub(crate) fn throttled(&mut self, until: Seconds) {
        self.own_until = self.own_until.max(until);
        self.pause(until);
        self.is_to_tell = true;
    }

    /// Records a pause.
    pub(crate) fn pause(&mut self, until: Seconds) {
        let ends = if self.is_paused { self.ends.unwrap_or(until).max(until) } else { until };
        (self.ends, self.is_paused) = (Some(ends), true);
    }

    /// Records that this process has used up its share, while `want` calls wait. Its next place comes at `next`.
    pub(crate) fn used_up(&mut self, next: Seconds, want: usize) {
        if self.is_paused || self.stated.is_some() {
            return;
        }
        self.ends = Some(self.ends.map_or(next, |ends| ends.min(next)));
        self.member(self.me).want = want;
        (self.stated, self.is_to_tell) = (Some((0, want)), true);
    }

    /// Records the facts during a pause. A statement that has become wrong is repeated, unless it was often enough.
    pub(crate) fn correct(&mut self, took: usize, want: usize) {
        let me = self.member(self.me);
        if me.told == 0 {
            (me.took, me.want) = (Some(took), want); // in case that it is never told
        }
        let may_tell = me.told < MOST_NOTICES;
        let is_wrong = self.stated.is_some_and(|(stated, wanted)| stated != took || wanted < want);
        self.is_to_tell |= may_tell && is_wrong;
    }

    /// Repeats the last statement, in case that it was not heard.
    pub(crate) fn repeat(&mut self) {
        self.is_to_tell |= self.stated.is_some();
    }

    /// Returns the statement of this process to the others.
    pub(crate) fn tell(&mut self, lane: u8, now: Seconds, facts: Facts) -> Word {
        self.is_to_tell = false;
        self.stated = Some((facts.took, facts.want));
        self.measure(facts.length, facts.took);
        let is_paused = self.is_paused;
        let me = self.member(self.me);
        me.want = facts.want;
        me.took = Some(facts.took).filter(|_| is_paused);
        me.told = me.told.saturating_add(1);
        // Probes have raised the limit of this process since the division.
        if me.share > 0 && facts.limit > me.share && !is_paused {
            let gained = facts.limit.saturating_sub(me.share);
            me.share = facts.limit;
            self.limit = self.limit.saturating_add(gained);
        }
        // If nothing was accepted, others have used up the limit that nobody knows.
        if !self.has_others() && (facts.took > 0 || self.limit > 0) {
            self.limit = facts.limit;
        }
        let until = if is_paused { self.own_until } else { self.ends.unwrap_or(now) };
        let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Word {
            lane,
            is_paused,
            left: (until - now).max(0.0),
            length: self.length,
            took: small(facts.took),
            want: small(facts.want),
            limit: small(self.limit),
        }
    }

    /// Records the statement of another process. Returns the end of the pause if the lane is to be paused.
    pub(crate) fn hear(&mut self, process: Process, word: Word, now: Seconds) -> Option<Seconds> {
        let until = now + word.left;
        let begins_pause = word.is_paused && word.left > 0.0;
        if process == self.me {
            return None;
        }
        if self.members.len() >= MOST && !self.members.contains_key(&process) {
            return begins_pause.then_some(until);
        }
        if begins_pause && !self.is_paused {
            self.length = 0.0; // of this pause
        }
        self.measure(word.length, word.took as usize);
        self.unnamed = self.unnamed.saturating_sub(usize::from(!self.members.contains_key(&process)));
        let member = self.member(process);
        member.want = word.want as usize;
        if word.is_paused {
            member.took = Some(word.took as usize);
        } else {
            self.limit = self.limit.max(word.limit as usize);
        }
        if begins_pause {
            let was_paused = self.is_paused;
            self.pause(until);
            self.is_to_tell |= !was_paused;
            return Some(until);
        }
        if !self.is_paused && word.left > 0.0 {
            self.ends = Some(self.ends.map_or(until, |ends| ends.min(until)));
        }
        None
    }

    /// Records what is kept for newcomers: the limit, and the number of processes that divide it. The present window
    /// ends at `until`.
    pub(crate) fn join(&mut self, now: Seconds, until: Seconds, length: Seconds, limit: usize, processes: usize) {
        let known = self.members.keys().filter(|process| **process != self.me).count();
        self.unnamed = if until > now { processes.saturating_sub(known).min(MOST) } else { 0 };
        (self.length, self.limit) = (length, self.limit.max(limit));
        self.began = self.began.max(until - length);
        if until > now && self.ends.is_none() {
            self.ends = Some(until);
        }
        self.is_to_tell = true;
    }

    /// Returns what is kept for newcomers: the limit, and the number of processes that divide it.
    pub(crate) fn kept(&self) -> (usize, usize) {
        let named = self.members.values().filter(|member| member.want > 0).count();
        let limit = if self.is_paused && self.took() > 0 { self.took().max(self.floor()) } else { self.limit };
        (limit, named.saturating_add(self.unnamed))
    }

    /// Ends the rounds that are over. Returns the new share, if one is. `present` is the number of processes that are
    /// connected; without a connection, `is_deaf`, no statements can be expected.
    pub(crate) fn advance(&mut self, now: Seconds, present: usize, is_deaf: bool) -> Option<Division> {
        let ends = self.ends.filter(|ends| *ends <= now)?;
        if !self.has_others() && present <= 1 {
            let was = std::mem::replace(self, Self::new(self.me));
            (self.limit, self.length, self.began) = (was.limit, was.length, ends);
            let had_share = was.members.get(&was.me).is_some_and(|me| me.share > 0);
            let (share, length) = (was.limit, was.length);
            return had_share.then_some(Division { share, length, held_until: None, may_probe: true });
        }
        let silent = (now - ends) / self.length.max(0.001);
        if silent >= SILENT_ROUNDS && !is_deaf {
            self.members.retain(|process, _| *process == self.me);
            self.unnamed = 0;
        }
        let share = self.divide(present);
        let began = if silent >= 1.0 { now } else { ends };
        (self.began, self.ends, self.is_paused) = (began, None, false);
        (self.stated, self.unnamed) = (None, 0);
        let next = began + self.length;
        let held_until = (share == 0 && now < next).then_some(next);
        if held_until.is_some() {
            self.ends = held_until;
        }
        let may_probe = self.may_probe();
        for member in self.members.values_mut() {
            (member.want, member.took, member.told) = (member.want.saturating_sub(member.share), None, 0);
        }
        self.members.retain(|process, member| *process == self.me || member.want > 0 || member.share > 0);
        Some(Division { share, length: self.length, held_until, may_probe })
    }

    /// Returns the lowest limit that a throttling response can teach.
    fn floor(&self) -> usize {
        self.limit.saturating_mul(3) / 4
    }

    /// Divides the limit. Returns the share of this process.
    fn divide(&mut self, present: usize) -> usize {
        if self.is_paused {
            let took = self.members.values().map(|member| member.took.unwrap_or(member.share));
            let took = took.fold(0, usize::saturating_add);
            if took > 0 {
                self.limit = took.max(self.floor());
            }
        }
        self.member(self.me);
        let wants: Vec<_> = self.members.iter().map(|(process, member)| (*process, member.want)).collect();
        if self.limit == 0 {
            return UNKNOWN;
        }
        let (shares, rest) = shares(self.limit, &wants, self.unnamed);
        for (process, share) in shares {
            self.member(process).share = share;
        }
        let rest = rest.checked_div(present.max(self.members.len())).unwrap_or(rest);
        let me = self.member(self.me);
        me.share = me.share.saturating_add(rest);
        me.share
    }

    /// Takes over the length of the window as a process has measured it. A process whose requests were all throttled
    /// has seen only the end of the window.
    fn measure(&mut self, length: Seconds, took: usize) {
        if length > 0.0 && (self.length <= 0.0 || self.is_paused && took > 0) {
            self.length = self.length.max(length);
        }
    }

    /// Returns the length of the window.
    pub(crate) fn length(&self) -> Seconds {
        self.length
    }

    /// Returns true if the process with the most calls left over is this one.
    fn may_probe(&self) -> bool {
        let left = |member: &Member| member.want.saturating_sub(member.share);
        let first = self.members.iter().max_by_key(|(process, member)| (left(member), Reverse(**process)));
        first.is_none_or(|(process, _)| *process == self.me)
    }

    fn member(&mut self, process: Process) -> &mut Member {
        self.members.entry(process).or_default()
    }
}

/// Divides `limit` among processes that want a number of requests each, and `unnamed` ones that want all. The smallest
/// wishes are granted first; what does not divide evenly goes to the largest wishes. Returns the shares, and the rest
/// that nobody wants.
fn shares(limit: usize, wants: &[(Process, usize)], unnamed: usize) -> (Vec<(Process, usize)>, usize) {
    let mut wants = wants.to_vec();
    wants.sort_by_key(|(process, want)| (*want, Reverse(*process)));
    let mut rest = limit;
    let mut claims = wants.len().saturating_add(unnamed);
    let mut shares = Vec::with_capacity(wants.len());
    for (process, want) in wants {
        let share = want.min(rest.checked_div(claims).unwrap_or(0));
        rest = rest.saturating_sub(share);
        claims = claims.saturating_sub(1);
        shares.push((process, share));
    }
    (shares, if unnamed > 0 { 0 } else { rest })
}

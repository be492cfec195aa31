//! Sequences of events, and the admission after them.

use std::time::Duration;

use super::{Admission, LaneState, Throttled};
use crate::limiter::ledger::{Kind, Seconds, Sent};
use crate::limiter::quota::Quota;

/// A lane with a clock and numbers.
struct Lane {
    state: LaneState,
    number: u64,
}

const FOREVER: Admission = Admission::NotBefore(f64::INFINITY);

impl Lane {
    fn new() -> Self {
        Self::documented(&[])
    }

    fn documented(limits: &[(usize, Seconds)]) -> Self {
        Self { state: LaneState::new(limits), number: 0 }
    }

    fn is_admitted(&mut self, now: Seconds) -> bool {
        matches!(self.state.admission(now), Admission::Now { .. })
    }

    /// Returns when the next request may start, if not now.
    fn next(&mut self, now: Seconds) -> Seconds {
        match self.state.admission(now) {
            Admission::Now { .. } => now,
            Admission::NotBefore(until) => until,
        }
    }

    fn send(&mut self, now: Seconds) -> Sent {
        let kind = match self.state.admission(now) {
            Admission::Now { kind, .. } => kind,
            Admission::NotBefore(_) => Kind::Free,
        };
        self.number += 1;
        self.state.sent(self.number, kind, now)
    }

    fn accept(&mut self, sent: Sent, now: Seconds) {
        self.state.accepted(sent, now, None);
    }

    fn throttle(&mut self, sent: Sent, now: Seconds, hint: Option<Seconds>) {
        self.state.throttled(sent, now, Throttled { hint, is_far: false, is_overload: false, least: 0.1, random: 0.0 });
    }

    /// Sends requests 10 ms apart, each accepted after 5 ms.
    fn accepted(&mut self, requests: usize, start: Seconds) -> Seconds {
        let mut now = start;
        for _ in 0..requests {
            let sent = self.send(now);
            self.accept(sent, now + 0.005);
            now += 0.01;
        }
        now
    }

    fn limit(&self) -> (usize, Seconds) {
        self.state.learned().map_or((0, 0.0), |window| (window.limit, window.length))
    }
}

#[test]
fn while_nothing_is_known_the_thirty_third_unanswered_request_waits() {
    let mut lane = Lane::new();
    let sent: Vec<Sent> = (0..32).map(|_| lane.send(0.0)).collect();
    assert_eq!(lane.state.admission(0.0), FOREVER);
    lane.accept(sent[0], 0.1);
    assert!(lane.is_admitted(0.1));
}

#[test]
fn a_hint_pauses_the_lane_and_then_one_request_opens_its_window() {
    let mut lane = Lane::new();
    let now = lane.accepted(10, 0.0);
    let sent = lane.send(now);
    lane.throttle(sent, now + 0.005, Some(2.0));
    assert!((lane.next(now + 0.01) - (now + 2.005)).abs() < 1e-6);
    assert_eq!(lane.limit(), (10, 2.0));
    let first = lane.send(now + 2.01);
    assert!(!lane.is_admitted(now + 2.01), "one first");
    lane.accept(first, now + 2.02);
    assert!(lane.is_admitted(now + 2.02));
}

#[test]
fn a_second_response_of_the_same_pause_corrects_the_limit_and_not_the_pause() {
    let mut lane = Lane::new();
    let sent: Vec<Sent> = (0..20).map(|_| lane.send(0.0)).collect();
    lane.throttle(sent[10], 0.1, Some(2.0));
    let until = lane.next(0.1);
    assert_eq!(lane.limit().0, 19);
    for sent in &sent[11..] {
        lane.throttle(*sent, 0.1, Some(2.0));
    }
    assert!((lane.next(0.1) - until).abs() < 1e-6);
    assert_eq!(lane.limit(), (10, 2.0));
}

#[test]
fn a_late_response_to_a_request_sent_before_the_pause_adds_no_more_than_its_own_hint() {
    let mut lane = Lane::new();
    let sent: Vec<Sent> = (0..3).map(|_| lane.send(0.0)).collect();
    lane.throttle(sent[0], 0.1, Some(2.0));
    lane.throttle(sent[1], 3.0, Some(1.0));
    assert!((lane.next(3.0) - 4.0).abs() < 1e-6);
}

#[test]
fn a_short_hint_late_in_a_window_keeps_its_length() {
    let mut lane = Lane::new();
    for number in 0..300 {
        let now = f64::from(number) * 0.19;
        let sent = lane.send(now);
        lane.accept(sent, now + 0.01);
    }
    let sent = lane.send(59.2);
    lane.throttle(sent, 59.21, Some(1.0));
    assert_eq!(lane.limit(), (300, 60.0));
}

#[test]
fn a_hint_longer_than_a_confirmed_window_is_obeyed_and_teaches_nothing() {
    let mut lane = Lane::new();
    let now = lane.accepted(5, 0.0);
    let sent = lane.send(now);
    lane.throttle(sent, now, Some(2.0));
    let mut now = now + 2.0;
    for _ in 0..40 {
        now = lane.next(now).max(now);
        let sent = lane.send(now);
        lane.accept(sent, now + 0.005);
        now += 0.01;
    }
    let (limit, length) = lane.limit();
    let now = lane.next(now).max(now);
    let sent = lane.send(now);
    lane.throttle(sent, now + 0.005, Some(100.0));
    assert!(lane.next(now + 0.005) >= now + 100.0);
    assert_eq!(lane.limit(), (limit, length));
}

#[test]
fn thirty_two_responses_without_a_hint_are_one_pause_of_the_first_step() {
    let mut lane = Lane::new();
    let sent: Vec<Sent> = (0..32).map(|_| lane.send(0.0)).collect();
    for (index, sent) in sent.into_iter().enumerate() {
        lane.throttle(sent, 0.05 + 0.001 * f64::from(u32::try_from(index).unwrap()), None);
    }
    let next = lane.next(0.1);
    assert!(next > 0.1 && next < 1.2, "{next}");
}

#[test]
fn if_no_request_was_accepted_no_limit_is_learned_and_the_number_in_flight_doubles() {
    for hint in [None, Some(2.0)] {
        let mut lane = Lane::new();
        let sent: Vec<Sent> = (0..32).map(|_| lane.send(0.0)).collect();
        for sent in sent {
            lane.throttle(sent, 0.05, hint);
        }
        assert_eq!(lane.limit(), (0, 0.0));
        let mut now = lane.next(0.1);
        for expected in [1, 2, 4, 8, 16] {
            let sent: Vec<Sent> =
                std::iter::from_fn(|| lane.is_admitted(now).then(|| lane.send(now))).take(99).collect();
            assert_eq!(sent.len(), expected, "{hint:?}");
            now += 0.05;
            for sent in sent {
                lane.accept(sent, now);
            }
        }
    }
}

#[test]
fn a_late_response_to_a_request_of_an_earlier_window_does_not_correct_the_limit() {
    let mut lane = Lane::new();
    let delayed = lane.send(0.0);
    let now = lane.accepted(10, 5.0);
    let sent = lane.send(now);
    lane.throttle(sent, now + 0.005, Some(2.0));
    assert_eq!(lane.limit(), (10, 2.0));
    lane.throttle(delayed, now + 0.01, Some(2.0));
    assert_eq!(lane.limit(), (10, 2.0));
}

#[test]
fn without_a_hint_the_documented_limit_gives_the_wait() {
    let mut lane = Lane::documented(&[(300, 60.0)]);
    let now = lane.accepted(300, 10.0);
    let sent = lane.send(now);
    lane.throttle(sent, now + 0.005, None);
    let next = lane.next(now + 0.01);
    assert!((70.0..70.1).contains(&next), "{next}");
    assert_eq!(lane.limit(), (300, 60.0));
}

#[test]
fn a_wait_shorter_than_the_latency_is_learned() {
    let mut lane = Lane::new();
    let sent: Vec<Sent> = (0..30).map(|_| lane.send(0.0)).collect();
    for sent in &sent[..10] {
        lane.accept(*sent, 3.0);
    }
    for sent in &sent[10..] {
        lane.throttle(*sent, 3.0, Some(1.0));
    }
    assert_eq!(lane.limit(), (10, 1.0));
}

#[test]
fn after_a_slow_probe_another_follows() {
    let mut lane = Lane::new();
    let sent = lane.send(0.0);
    lane.throttle(sent, 0.1, None);
    let start = lane.next(0.1);
    let probe = lane.send(start);
    assert_eq!(probe.kind, Kind::First);
    let next = lane.next(start);
    assert!((next - start - 2.0).abs() < 1e-6, "{next}");
    assert!(lane.is_admitted(next));
}

#[test]
fn three_left_and_five_under_way_two_of_them_later_than_the_report_leave_one() {
    let mut lane = Lane::new();
    let reporting = lane.send(0.0);
    let before: Vec<Sent> = (0..3).map(|_| lane.send(-1.0)).collect();
    assert_eq!(before.len(), 3);
    let mut lane = Lane::new();
    for _ in 0..3 {
        lane.send(0.0);
    }
    let reporter = lane.send(1.0);
    for _ in 0..2 {
        lane.send(1.5);
    }
    let quota = Quota { remaining: 3, resets_in: Duration::from_secs(60) };
    lane.state.accepted(reporter, 1.6, Some(quota));
    assert_eq!(lane.state.quota().map(|(left, _)| left), Some(1));
    assert!(lane.is_admitted(1.6));
    lane.send(1.6);
    assert!(!lane.is_admitted(1.6));
    assert_eq!(reporting.number, 1);
}

#[test]
fn a_used_up_quota_pauses_until_its_reset() {
    let mut lane = Lane::new();
    let sent = lane.send(0.0);
    lane.state.accepted(sent, 0.1, Some(Quota { remaining: 0, resets_in: Duration::from_secs(30) }));
    let next = lane.next(0.1);
    assert!(next > 29.0 && next < 31.0, "{next}");
    lane.send(next);
    assert!(!lane.is_admitted(next), "one request finds out the next quota");
}

#[test]
fn a_reset_that_is_absurd_is_not_used() {
    let mut lane = Lane::new();
    for resets_in in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::ZERO, Duration::from_secs(3601)] {
        let sent = lane.send(0.0);
        lane.state.accepted(sent, 0.1, Some(Quota { remaining: 0, resets_in }));
        assert_eq!(lane.state.quota(), None, "{resets_in:?}");
    }
}

#[test]
fn a_wait_that_is_too_long_lets_one_probe_through_each_minute() {
    let mut lane = Lane::new();
    let sent = lane.send(0.0);
    let far = Throttled { hint: Some(86_400.0), is_far: true, is_overload: false, least: 0.1, random: 0.5 };
    lane.state.throttled(sent, 0.0, far);
    assert_eq!(lane.state.paused_until(1.0), Some(86_400.0));
    for minute in 1..100_u32 {
        let now = 60.0 * f64::from(minute);
        assert!(!lane.is_admitted(now - 0.001));
        let probe = lane.send(now);
        assert!(!lane.is_admitted(now), "one probe");
        lane.state.throttled(probe, now, far);
    }
    let now = 6000.0;
    let probe = lane.send(now);
    lane.accept(probe, now + 0.1);
    assert!(lane.is_admitted(now + 0.1));
    assert_eq!(lane.state.paused_until(now + 0.1), None);
}

#[test]
fn a_limit_that_delays_nothing_for_ten_minutes_is_forgotten() {
    let mut lane = Lane::new();
    let now = lane.accepted(10, 0.0);
    let sent = lane.send(now);
    lane.throttle(sent, now, Some(2.0));
    let first = lane.send(now + 2.1);
    lane.accept(first, now + 2.2);
    lane.accepted(1, now + 300.0);
    assert_ne!(lane.limit().0, 0);
    assert!(lane.is_admitted(now + 1300.0));
    assert_eq!(lane.limit(), (0, 0.0));
}

#[test]
fn no_time_and_no_hint_is_too_large() {
    let times = [0.0, 1.0, 3.2e8, 1e12, Duration::MAX.as_secs_f64()];
    for start in times {
        for hint in [Some(0.001), Some(1.0), Some(3600.0), Some(1e19), Some(Duration::MAX.as_secs_f64()), None] {
            for is_far in [false, true] {
                let mut lane = Lane::documented(&[(300, 60.0), (usize::MAX, Duration::MAX.as_secs_f64()), (0, 0.0)]);
                for round in 0..50 {
                    let now = start + f64::from(round);
                    let sent = lane.send(now);
                    match round % 3 {
                        0 => lane.state.throttled(
                            sent,
                            now,
                            Throttled { hint, is_far, is_overload: round % 2 == 0, least: 0.1, random: 1.0 },
                        ),
                        1 => lane.accept(sent, now),
                        _ => lane.state.lost(sent.number),
                    }
                    let _ = (lane.state.admission(now), lane.state.room(now), lane.state.paused_until(now));
                }
            }
        }
    }
}

#[test]
fn the_1025th_request_pushes_out_the_first_and_a_larger_window_is_followed_at_its_rate() {
    let mut lane = Lane::new();
    let mut sent = Vec::new();
    for number in 0..5000 {
        let now = f64::from(number) * 0.01;
        let request = lane.send(now);
        lane.accept(request, now + 0.005);
        sent.push(request);
    }
    assert_eq!(lane.state.taken(-950.0).0, 1024);
    lane.state.lost(sent[0].number);
    lane.accept(sent[0], 50.0);
    let refused = lane.send(50.0);
    lane.throttle(refused, 50.005, Some(10.0));
    let (limit, length) = lane.limit();
    assert!(limit <= 1024 && length <= 21.0, "{limit} in {length}");
}

#[test]
fn lost_requests_hold_nothing_back_for_good() {
    let mut lane = Lane::new();
    let sent: Vec<Sent> = (0..32).map(|_| lane.send(0.0)).collect();
    assert!(!lane.is_admitted(0.0));
    lane.state.lost(sent[0].number);
    lane.state.lost(sent[0].number);
    lane.accept(sent[0], 1.0);
    assert_eq!(lane.state.room(1.0), 2, "one lost, and one accepted");
}

/// Returns a lane with a window of about 20 that is contradicted three times, and the time.
fn shedding() -> (Lane, Seconds) {
    let mut lane = Lane::new();
    let mut now = lane.accepted(20, 0.0);
    let sent = lane.send(now);
    lane.throttle(sent, now + 0.005, Some(1.0));
    now = lane.accepted(20, now + 1.1);
    for _ in 0..3 {
        assert_ne!(lane.limit().0, 0);
        now = lane.next(now + 0.01) + 2.0;
        now = lane.accepted(1, now);
        let sent = lane.send(now);
        lane.throttle(sent, now + 0.005, Some(1.0));
    }
    (lane, now + 0.005)
}

#[test]
fn three_contradictions_of_the_window_in_a_row_forget_it() {
    let (mut lane, now) = shedding();
    assert_eq!(lane.limit(), (0, 0.0));
    assert!((lane.next(now) - now - 1.0).abs() < 1e-6, "the hint is obeyed");
    let sent = lane.send(now + 1.0);
    lane.throttle(sent, now + 1.005, None);
    assert!(lane.next(now + 1.005) < now + 1.3, "a short pause");
    assert_eq!(lane.limit(), (0, 0.0), "no window is learned");
}

#[test]
fn a_window_returns_once_most_responses_are_throttling_responses() {
    let (mut lane, mut now) = shedding();
    for _ in 0..10 {
        now = lane.next(now).max(now + 0.01);
        let sent = lane.send(now);
        lane.throttle(sent, now + 0.005, None);
    }
    assert_ne!(lane.limit().0, 0);
}

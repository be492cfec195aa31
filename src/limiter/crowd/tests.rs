//! The division of a limit, in tables and for all inputs.

use super::{Crowd, Division, Facts, Process, UNKNOWN, Word, shares};

fn wants(wants: &[usize]) -> Vec<(Process, usize)> {
    wants.iter().enumerate().map(|(index, want)| (Process(index as u64), *want)).collect()
}

fn facts(took: usize, want: usize) -> Facts {
    Facts { took, want, limit: took.max(1), length: 2.0 }
}

/// Returns the crowds of processes that were throttled in a first window, and have heard each other.
fn throttled(counts: &[(usize, usize)]) -> Vec<Crowd> {
    let mut crowds: Vec<_> = (0..counts.len()).map(|index| Crowd::new(Process(index as u64))).collect();
    let mut words = Vec::new();
    for (crowd, (took, want)) in crowds.iter_mut().zip(counts) {
        crowd.throttled(2.0);
        words.push((crowd.me, crowd.tell(0, 0.01, facts(*took, *want))));
    }
    for crowd in &mut crowds {
        for (process, word) in &words {
            crowd.hear(*process, *word, 0.01);
        }
    }
    crowds
}

fn divisions(crowds: &mut [Crowd], now: f64) -> Vec<Division> {
    let present = crowds.len();
    crowds.iter_mut().map(|crowd| crowd.advance(now, present, false).unwrap()).collect()
}

#[test]
fn small_wishes_are_granted_and_the_others_are_equal() {
    let cases: [(usize, &[usize], &[usize], usize); 7] = [
        (50, &[18, 32, 50, 50], &[12, 12, 13, 13], 0),
        (50, &[5, 50, 50], &[5, 22, 23], 0),
        (50, &[5, 10], &[5, 10], 35),
        (2, &[9, 9, 9], &[1, 1, 0], 0),
        (50, &[0, 0], &[0, 0], 50),
        (0, &[3], &[0], 0),
        (50, &[], &[], 50),
    ];
    for (limit, wishes, expected, rest) in cases {
        let (shares, left) = shares(limit, &wants(wishes), 0);
        let mut shares: Vec<_> = shares.into_iter().map(|(_, share)| share).collect();
        let mut expected = expected.to_vec();
        shares.sort_unstable();
        expected.sort_unstable();
        assert_eq!((shares, left), (expected, rest), "{limit} among {wishes:?}");
    }
}

#[test]
fn processes_that_were_throttled_divide_what_they_took_together() {
    let mut crowds = throttled(&[(32, 18), (18, 32), (0, 50), (0, 50)]);
    let divisions = divisions(&mut crowds, 2.001);
    let shares: Vec<_> = divisions.iter().map(|division| division.share).collect();
    assert_eq!(shares.iter().sum::<usize>(), 50, "{shares:?}");
    assert!(shares.iter().all(|share| (12..=13).contains(share)), "{shares:?}");
    assert_eq!(divisions.iter().filter(|division| division.may_probe).count(), 1);
}

#[test]
fn without_further_statements_the_calls_are_expected_to_decrease_by_the_share() {
    let mut crowds = throttled(&[(25, 10), (25, 60)]);
    let first = divisions(&mut crowds, 2.001);
    assert_eq!((first[0].share, first[1].share), (10, 40));
    // The second process has used up its share. The first has no calls left, and says nothing.
    crowds[1].used_up(4.0, 20);
    let second = crowds[1].advance(4.0, 2, true).unwrap();
    assert!(second.share >= 20 + 15, "{second:?}: its calls, and half of the rest");
}

#[test]
fn a_process_without_a_share_is_held_until_the_next_round() {
    let mut crowds = throttled(&[(2, 100), (0, 100), (0, 100)]);
    let divisions = divisions(&mut crowds, 2.001);
    let held: Vec<_> = divisions.iter().filter(|division| division.share == 0).collect();
    assert_eq!(held.len(), 1);
    assert!(held[0].held_until.is_some_and(|until| (until - 4.0).abs() < 1e-6));
}

#[test]
fn a_limit_that_nobody_knows_is_not_divided() {
    let mut crowds = throttled(&[(0, 50), (0, 50)]);
    assert!(divisions(&mut crowds, 2.001).iter().all(|division| division.share == UNKNOWN));
}

#[test]
fn a_failed_probe_lowers_the_limit_by_a_quarter_at_most() {
    let mut crowds = throttled(&[(20, 50), (20, 50)]);
    divisions(&mut crowds, 2.001);
    let words: Vec<_> = crowds
        .iter_mut()
        .map(|crowd| {
            crowd.throttled(4.0);
            (crowd.me, crowd.tell(0, 2.5, facts(1, 50)))
        })
        .collect();
    for crowd in &mut crowds {
        for (process, word) in &words {
            crowd.hear(*process, *word, 2.5);
        }
    }
    let shares = divisions(&mut crowds, 4.001).iter().map(|division| division.share).sum::<usize>();
    assert_eq!(shares, 30);
}

#[test]
fn a_newcomer_takes_the_part_of_one_more() {
    let mut crowd = Crowd::new(Process(9));
    crowd.join(0.5, 2.0, 2.0, 50, 4);
    crowd.tell(0, 0.6, facts(0, 50));
    let division = crowd.advance(2.0, 1, false).unwrap();
    assert_eq!(division.share, 10);
}

#[test]
fn one_process_alone_divides_nothing() {
    let mut crowd = Crowd::new(Process(1));
    crowd.throttled(2.0);
    crowd.tell(0, 0.1, facts(50, 100));
    assert_eq!(crowd.advance(2.0, 1, false), None);
}

#[test]
fn after_the_others_have_left_one_process_has_the_whole_limit() {
    let mut crowds = throttled(&[(25, 25), (25, 500)]);
    divisions(&mut crowds, 2.001);
    let crowd = &mut crowds[1];
    let mut share = 0;
    for round in 2..8_u32 {
        crowd.used_up(2.0 * f64::from(round), 400);
        share = crowd.advance(2.0 * f64::from(round), 1, false).map_or(share, |division| division.share);
    }
    assert_eq!(share, 50);
}

/// The number of random inputs of each property.
const CASES: u64 = 1_000;

fn word(random: &mut fastrand::Rng) -> Word {
    let mut count = || random.u32(..1 << 20);
    let (took, want, limit) = (count(), count(), count());
    let (left, length) = (random.f64() * 3600.0, random.f64() * 3600.0);
    Word { lane: 0, is_paused: random.bool(), left, length, took, want, limit }
}

#[test]
fn the_shares_and_the_rest_are_the_limit() {
    for seed in 0..CASES {
        let mut random = fastrand::Rng::with_seed(seed);
        let (limit, processes) = (random.usize(..5000), random.usize(..40));
        let wishes: Vec<_> = (0..processes).map(|_| random.usize(..3000)).collect();
        let (shares, rest) = shares(limit, &wants(&wishes), 0);
        let sum: usize = shares.iter().map(|(_, share)| share).sum();
        assert_eq!(sum + rest, limit, "seed {seed}");
        for (process, share) in &shares {
            let wish = wishes[usize::try_from(process.0).unwrap()];
            assert!(*share <= wish, "seed {seed}");
            // Who does not get all has at least as much as everyone else, but for one.
            assert!(*share == wish || shares.iter().all(|(_, other)| *other <= share + 1), "seed {seed}");
        }
    }
}

#[test]
fn the_order_in_which_statements_arrive_does_not_matter() {
    for seed in 0..CASES {
        let mut random = fastrand::Rng::with_seed(seed);
        let counts: Vec<_> = (0..random.usize(2..8)).map(|_| (random.usize(..100), random.usize(..200))).collect();
        let mut crowds = throttled(&counts);
        let expected: Vec<_> = divisions(&mut crowds, 2.001).iter().map(|division| division.share).collect();
        let mut words: Vec<_> = throttled(&counts)
            .iter_mut()
            .zip(&counts)
            .map(|(crowd, (took, want))| (crowd.me, crowd.tell(0, 0.01, facts(*took, *want))))
            .collect();
        random.shuffle(&mut words);
        for (index, (took, want)) in counts.iter().enumerate() {
            let mut crowd = Crowd::new(Process(index as u64));
            crowd.throttled(2.0);
            crowd.tell(0, 0.01, facts(*took, *want));
            for (process, word) in words.iter().chain(&words) {
                crowd.hear(*process, *word, 0.01);
            }
            let division = crowd.advance(2.001, counts.len(), false);
            assert_eq!(division.map(|division| division.share), Some(expected[index]), "seed {seed}");
        }
    }
}

#[test]
fn no_sequence_of_statements_breaks_a_crowd() {
    for seed in 0..CASES {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut crowd = Crowd::new(Process(0));
        let mut now = 0.0;
        for _ in 0..random.usize(..60) {
            let (word, is_own) = (word(&mut random), random.bool());
            now += random.f64() * 5.0;
            if is_own {
                crowd.throttled(now + word.left);
                crowd.tell(0, now, facts(word.took as usize, word.want as usize));
                crowd.used_up(now + word.left, word.want as usize);
            } else {
                crowd.hear(Process(random.u64(..6)), word, now);
            }
            if let Some(division) = crowd.advance(now, 3, is_own) {
                assert!(division.held_until.is_none_or(|until| until - now <= 3600.0), "seed {seed}");
            }
        }
    }
}

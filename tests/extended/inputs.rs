//! The checks of the fuzz targets, with inputs that proptest derives from the stored ones.

#[path = "../../fuzz/checks/checks.rs"]
mod checks;
#[path = "../reading/fuzzing/seeds.rs"]
#[allow(dead_code, reason = "the stored seeds have names")]
mod seeds;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// A change to an input.
#[derive(Clone, Debug)]
enum Change {
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Repeat(Index, Index, usize),
    Replace(Index, u8),
    Cut(Index),
}

impl Change {
    fn make(&self, input: &mut Vec<u8>) {
        let span = |from: &Index, to: &Index| {
            let (from, to) = (from.index(input.len() + 1), to.index(input.len() + 1));
            from.min(to)..from.max(to)
        };
        match self {
            Self::Insert(at, bytes) => {
                let at = at.index(input.len() + 1);
                input.splice(at..at, bytes.iter().copied());
            }
            Self::Remove(from, to) => drop(input.drain(span(from, to))),
            Self::Repeat(from, to, times) => {
                let span = span(from, to);
                let copies = input[span.clone()].repeat(*times);
                input.splice(span.end..span.end, copies);
            }
            Self::Replace(at, byte) => {
                if !input.is_empty() {
                    let at = at.index(input.len());
                    input[at] = *byte;
                }
            }
            Self::Cut(at) => input.truncate(at.index(input.len() + 1)),
        }
    }
}

/// Returns inputs of a check: stored inputs with a few changes, and arbitrary bytes.
fn input(check: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let stored: Vec<_> = seeds::seeds().into_iter().filter(|seed| seed.check == check).map(|seed| seed.input).collect();
    let change = prop_oneof![
        6 => (any::<Index>(), select(seeds::words())).prop_map(|(at, word)| Change::Insert(at, word)),
        2 => (any::<Index>(), vec(any::<u8>(), 1..12)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => any::<(Index, Index)>().prop_map(|(from, to)| Change::Remove(from, to)),
        1 => (any::<Index>(), any::<Index>(), 1_usize..20).prop_map(|(from, to, times)| Change::Repeat(from, to, times)),
        3 => any::<(Index, u8)>().prop_map(|(at, byte)| Change::Replace(at, byte)),
        1 => any::<Index>().prop_map(Change::Cut),
    ];
    let changed = (select(stored), vec(change, 0..8)).prop_map(|(mut input, changes)| {
        for change in changes {
            change.make(&mut input);
        }
        // Nested repetitions are longer than any input of interest.
        input.truncate(20_000);
        input
    });
    prop_oneof![9 => changed, 1 => vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_error_response_is_read_without_loss(input in input("bodies")) {
        checks::bodies(&input);
    }

    #[test]
    fn every_form_of_a_hint_is_read_and_no_wait_is_unbounded(input in input("hints")) {
        checks::hints(&input);
    }

    #[test]
    fn no_base_url_exposes_the_key_and_no_path_leaves_the_base_url(input in input("addresses")) {
        checks::addresses(&input);
    }

    #[test]
    fn a_decision_keeps_its_bounds_for_every_policy(input in input("decisions")) {
        checks::decisions(&input);
    }

    #[test]
    fn no_notice_of_another_process_breaks_a_client(input in input("notice")) {
        checks::notice(&input);
    }

    #[test]
    fn a_list_of_arbitrary_pages_ends(input in input("pages")) {
        checks::pages(&input);
    }
}

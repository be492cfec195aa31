//! Paired timing: the candidates take turns, so that the other load of the machine affects all of them alike.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::parts::Group;

/// The minimum time for which a part runs in a turn.
const TURN: Duration = Duration::from_millis(15);

/// The times of each part of each group in seconds, one per round.
#[derive(Default)]
pub struct Measured {
    seconds: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
}

impl Measured {
    /// Runs [`measure`] in a number of processes of this program, and collects the times that they print. The memory
    /// layout of a process affects its speed, so a single process is not enough.
    pub fn gather(launches: usize, arguments: &[&str]) -> Self {
        let mut measured = Self::default();
        for _ in 0..launches {
            let program = std::env::current_exe().expect("this program has a path");
            let output = Command::new(program).args(arguments).output().expect("this program starts again");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let [group, part, seconds] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
                let parts = measured.seconds.entry(group.to_owned()).or_default();
                parts.entry(part.to_owned()).or_default().push(seconds.parse().expect("a number"));
            }
        }
        measured
    }

    /// Returns the median time of a part in seconds, or `None` if it was not measured.
    pub fn median(&self, group: &str, part: &str) -> Option<f64> {
        Some(quantile(self.seconds.get(group)?.get(part)?.clone(), 0.5))
    }

    /// Returns the quartiles of the speed of a part relative to `peer`, compared round by round.
    pub fn relative_speed(&self, group: &str, part: &str, peer: &str) -> [f64; 3] {
        let parts = &self.seconds[group];
        let ratios: Vec<f64> = parts[part].iter().zip(&parts[peer]).map(|(part, peer)| peer / part).collect();
        [0.25, 0.5, 0.75].map(|share| quantile(ratios.clone(), share))
    }
}

/// Runs the parts of a group in turns, in a new order each round, and prints the time of each in seconds.
pub fn measure(group: &mut Group, rounds: usize) {
    let runs: Vec<u32> = group.parts.iter_mut().map(|part| runs_per_turn(&mut part.run)).collect();
    let mut order: Vec<usize> = (0..group.parts.len()).collect();
    for _ in 0..rounds {
        fastrand::shuffle(&mut order);
        for &index in &order {
            let (part, runs) = (&mut group.parts[index], runs[index]);
            let began = Instant::now();
            (0..runs).for_each(|_| (part.run)());
            let seconds = began.elapsed().as_secs_f64() / f64::from(runs) / f64::from(part.times);
            println!("{}\t{}\t{seconds:e}", group.name, part.name);
        }
    }
}

/// Returns the number of runs that fill a turn. Finding it also warms up the part.
fn runs_per_turn(run: &mut dyn FnMut()) -> u32 {
    let mut runs = 1;
    loop {
        let began = Instant::now();
        (0..runs).for_each(|_| run());
        if began.elapsed() >= TURN {
            return runs;
        }
        runs *= 2;
    }
}

/// Returns the quantile of the values at `share`, from 0 to 1.
pub fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "few values")]
    let at = share * (values.len() - 1) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let (below, above) = (values[at.floor() as usize], values[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

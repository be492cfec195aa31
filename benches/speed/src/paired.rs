//! Timing in pairs: what is compared takes turns, so that whatever else the machine does meets all alike.

use std::time::{Duration, Instant};

use crate::parts::Group;

/// How long each part runs in a round, at least.
const STINT: Duration = Duration::from_millis(15);

/// What the rounds of one group gave: for each part the seconds that it takes, round by round.
pub struct Rounds {
    pub seconds: Vec<Vec<f64>>,
}

impl Rounds {
    /// Lets the parts of a group take turns, in another order in each round.
    pub fn of(group: &mut Group, rounds: usize) -> Self {
        let stints: Vec<u32> = group.parts.iter_mut().map(|part| stint(&mut part.run)).collect();
        let mut seconds = vec![Vec::with_capacity(rounds); group.parts.len()];
        let mut order: Vec<usize> = (0..group.parts.len()).collect();
        for _ in 0..rounds {
            fastrand::shuffle(&mut order);
            for &index in &order {
                let (part, runs) = (&mut group.parts[index], stints[index]);
                let began = Instant::now();
                for _ in 0..runs {
                    (part.run)();
                }
                seconds[index].push(began.elapsed().as_secs_f64() / f64::from(runs) / f64::from(part.times));
            }
        }
        Self { seconds }
    }

    /// The median of the seconds that a part takes.
    pub fn median(&self, part: usize) -> f64 {
        quantile(self.seconds[part].clone(), 0.5)
    }

    /// How many times as quick as `peer` a part was in each round: the first quartile, the median and the third.
    pub fn quickness(&self, part: usize, peer: usize) -> [f64; 3] {
        let ratios: Vec<f64> =
            self.seconds[part].iter().zip(&self.seconds[peer]).map(|(part, peer)| peer / part).collect();
        [0.25, 0.5, 0.75].map(|at| quantile(ratios.clone(), at))
    }
}

/// How many runs fill a stint; the runs until that is known warm everything up.
fn stint(run: &mut dyn FnMut()) -> u32 {
    let mut runs = 1;
    loop {
        let began = Instant::now();
        (0..runs).for_each(|_| run());
        if began.elapsed() >= STINT {
            return runs;
        }
        runs *= 2;
    }
}

/// The value below which this share of the values lies.
pub fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = share * (values.len() - 1) as f64;
    let (below, above) = (values[at.floor() as usize], values[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

//! A noticeboard in memory, with delay, loss and partitions.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use steadfast::Noticeboard;
use steadfast::sharing::{Keep, Lost, Notice, Talk};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// The faults of a board.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    /// The least time in which a notice arrives. It takes up to twice as long.
    pub(crate) delay: Duration,
    /// The part of the notices that is lost on the way to each client.
    pub(crate) loss: f64,
    /// The time at which the board disappears, and at which it returns without what it kept.
    pub(crate) away: Option<(Duration, Duration)>,
    /// True if a board that disappears stays silent, and false if it closes the connections.
    pub(crate) is_silent: bool,
    /// Cuts the clients with an odd number off from the others until this time.
    pub(crate) cut_until: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        let delay = Duration::from_micros(500);
        Self { delay, loss: 0.0, away: None, is_silent: false, cut_until: Duration::ZERO }
    }
}

/// A notice, and the time at which it arrives.
type Sent = (Instant, Arc<str>);

#[derive(Default)]
struct State {
    clients: Vec<Option<mpsc::UnboundedSender<Sent>>>,
    kept: Vec<(u8, String, Instant)>,
    notices: Vec<(Duration, String)>,
}

/// A noticeboard in memory.
#[derive(Clone)]
pub(crate) struct Board {
    state: Arc<Mutex<State>>,
    random: Arc<Mutex<fastrand::Rng>>,
    faults: Faults,
    began: Instant,
}

impl Board {
    pub(crate) fn new(faults: Faults, seed: u64) -> Self {
        let random = Arc::new(Mutex::new(fastrand::Rng::with_seed(seed)));
        Self { state: Arc::default(), random, faults, began: Instant::now() }
    }

    /// Returns the notices that were sent, with their times.
    pub(crate) fn notices(&self) -> Vec<(Duration, String)> {
        self.state.lock().unwrap().notices.clone()
    }

    fn is_away(&self) -> bool {
        let now = self.began.elapsed();
        self.faults.away.is_some_and(|(from, to)| (from..to).contains(&now))
    }

    fn publish(&self, sender: usize, notice: Notice) {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap();
        state.notices.push((self.began.elapsed(), notice.text.clone()));
        if let Some(Keep { lane, text, lasts, .. }) = notice.keep {
            state.kept.retain(|(kept, ..)| *kept != lane);
            state.kept.push((lane, text, now + lasts));
        }
        let text: Arc<str> = notice.text.into();
        let is_cut = now.duration_since(self.began) < self.faults.cut_until;
        for (receiver, client) in state.clients.iter().enumerate() {
            let mut random = self.random.lock().unwrap();
            let is_lost = receiver != sender && random.f64() < self.faults.loss;
            if is_lost || is_cut && receiver % 2 != sender % 2 {
                continue;
            }
            let at = now + self.faults.delay.mul_f64(1.0 + random.f64());
            if let Some(client) = client {
                let _ = client.send((at, Arc::clone(&text)));
            }
        }
    }
}

impl Noticeboard for Board {
    fn attend<'a>(&'a self, _: &'a str, talk: &'a mut Talk) -> Pin<Box<dyn Future<Output = Lost> + Send + 'a>> {
        Box::pin(async move {
            if self.is_away() && !self.faults.is_silent {
                return Lost::because("the board is away");
            }
            let (sender, mut notices) = mpsc::unbounded_channel();
            let (number, kept) = {
                let mut state = self.state.lock().unwrap();
                state.clients.push(Some(sender));
                (state.clients.len() - 1, state.kept.clone())
            };
            while self.is_away() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            for (lane, text, until) in kept {
                if until > Instant::now() {
                    talk.kept(lane, text.as_bytes(), until - Instant::now());
                }
            }
            talk.joined();
            let away = self.faults.away.filter(|(from, _)| self.began.elapsed() < *from);
            let away = async {
                match away {
                    Some((from, _)) => sleep_until(self.began + from).await,
                    None => std::future::pending().await,
                }
            };
            let mut away = std::pin::pin!(away);
            let mut is_away = false;
            loop {
                tokio::select! {
                    () = &mut away, if !is_away => {
                        is_away = true;
                        let mut state = self.state.lock().unwrap();
                        state.clients[number] = None;
                        state.kept.clear();
                        if !self.faults.is_silent {
                            return Lost::because("the board is away");
                        }
                    }
                    notice = talk.next() => {
                        if !is_away {
                            self.publish(number, notice);
                        }
                    }
                    notice = notices.recv() => {
                        let Some((at, text)) = notice else {
                            std::future::pending::<()>().await;
                            unreachable!();
                        };
                        sleep_until(at).await;
                        talk.heard(text.as_bytes());
                    }
                }
            }
        })
    }
}

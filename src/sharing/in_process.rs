//! A noticeboard in memory.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;

use super::talk::{Attendance, Either, Lost, Noticeboard, Talk, first};

/// The number of notices that a client may be behind. One that is further behind loses the oldest.
const BACKLOG: usize = 4096;

/// A noticeboard for the clients of one process.
#[derive(Debug, Default)]
pub(super) struct InProcess(Mutex<BTreeMap<Box<str>, Channel>>);

#[derive(Debug)]
struct Channel {
    sender: broadcast::Sender<Arc<str>>,
    kept: BTreeMap<u8, (String, Instant)>,
}

impl InProcess {
    fn with<T>(&self, name: &str, change: impl FnOnce(&mut Channel) -> T) -> T {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = || Channel { sender: broadcast::channel(BACKLOG).0, kept: BTreeMap::new() };
        change(channels.entry(name.into()).or_insert_with(channel))
    }
}

impl Noticeboard for InProcess {
    fn attend<'a>(&'a self, name: &'a str, talk: &'a mut Talk) -> Attendance<'a> {
        Box::pin(async move {
            let (mut receiver, kept) = self.with(name, |channel| (channel.sender.subscribe(), channel.kept.clone()));
            for (lane, (text, until)) in kept {
                let lasts = until.saturating_duration_since(Instant::now());
                if lasts > Duration::ZERO {
                    talk.kept(lane, text.as_bytes(), lasts);
                }
            }
            talk.joined();
            loop {
                let next = first(pin!(talk.next()), pin!(receiver.recv())).await;
                let arrived = match next {
                    Either::Left(notice) => {
                        self.with(name, |channel| {
                            if let Some(keep) = notice.keep
                                && let Some(until) = Instant::now().checked_add(keep.lasts)
                            {
                                channel.kept.insert(keep.lane, (keep.text, until));
                            }
                            let _ = channel.sender.send(notice.text.into()); // this client receives it too
                        });
                        continue;
                    }
                    Either::Right(arrived) => arrived,
                };
                match arrived {
                    Ok(text) => talk.heard(text.as_bytes()),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Lost::because("the noticeboard was closed"),
                }
            }
        })
    }
}

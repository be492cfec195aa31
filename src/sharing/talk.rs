//! The conversation of a client with the others that share its limiter: [`Noticeboard`] and [`Talk`].

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::member::{Change, Member};
use crate::limiter::{Kept, Notice as Statement};

/// The time between two notices that a client is present, in the absence of others.
const PRESENCE: Duration = Duration::from_secs(4);
/// The time in which a client must hear its own notice.
const ECHO: Duration = Duration::from_secs(1);
/// The time in which a client must have joined.
const JOIN: Duration = Duration::from_secs(5);
/// The time in milliseconds for which notices are collected, unless they are urgent: at least the first, and up to the
/// second. Responses that arrive together are then stated together.
const COLLECT: (u64, u64) = (3, 10);

/// The future of [`Noticeboard::attend`].
pub(super) type Attendance<'a> = Pin<Box<dyn Future<Output = Lost> + Send + 'a>>;

/// A place where clients that share a limiter exchange notices, such as a channel of a message broker.
///
/// A notice is a line of ASCII of at most 96 bytes that contains no secret. Each notice is delivered to all clients
/// under the same name, including its sender. Notices may arrive twice, in another order, or not at all.
///
/// ```
/// use std::pin::Pin;
/// use steadfast::SharedLimiter;
/// use steadfast::sharing::{Lost, Noticeboard, Talk};
///
/// /// A board on which each client is alone.
/// struct Alone;
///
/// impl Noticeboard for Alone {
///     fn attend<'a>(
///         &'a self,
///         _name: &'a str,
///         talk: &'a mut Talk,
///     ) -> Pin<Box<dyn Future<Output = Lost> + Send + 'a>> {
///         Box::pin(async move {
///             talk.joined();
///             loop {
///                 let notice = talk.next().await;
///                 talk.heard(notice.text.as_bytes());
///             }
///         })
///     }
/// }
///
/// let shared = SharedLimiter::new(Alone);
/// ```
pub trait Noticeboard: Send + Sync + 'static {
    /// Connects a client under `name`, and stays connected.
    ///
    /// The board first subscribes to the notices under the name. Then it passes what is [kept](Talk::kept) for each
    /// lane to the client, and reports that it has [joined](Talk::joined). From then on, it sends each
    /// [next](Talk::next) notice, and passes each notice that arrives to [`Talk::heard`].
    ///
    /// Returns when the connection is lost. The client then calls it again, after 50 ms at first and after 1 s at most.
    /// The future is dropped when the last clone of the client is dropped, or when the client does not hear its own
    /// notices for a second.
    fn attend<'a>(&'a self, name: &'a str, talk: &'a mut Talk) -> Pin<Box<dyn Future<Output = Lost> + Send + 'a>>;
}

/// The end of a connection to a noticeboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    why: &'static str,
}

impl Lost {
    /// Returns the end of a connection, with a reason for events and logs.
    #[must_use]
    pub const fn because(why: &'static str) -> Self {
        Self { why }
    }

    /// Returns the reason.
    #[must_use]
    pub const fn why(self) -> &'static str {
        self.why
    }
}

/// A notice that a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// The text, a line of ASCII.
    pub text: String,
    /// The text to keep for clients that join later, in place of the one that was kept for the same lane.
    pub keep: Option<Keep>,
}

/// A text that a noticeboard keeps for clients that join later.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keep {
    /// The index of the lane, below [`Talk::LANES`].
    pub lane: u8,
    /// The text.
    pub text: String,
    /// The time after which the board deletes the text.
    pub lasts: Duration,
}

/// The part of a client that talks to the others.
#[expect(missing_debug_implementations, reason = "it has no state that would help")]
pub struct Talk {
    member: Weak<dyn Member>,
    news: Arc<Notify>,
    outbox: VecDeque<Notice>,
    /// The time at which the client reports that it is present.
    present_at: Instant,
    /// The time at which the notices of the lanes are collected, after the limiter had something to tell.
    collect_at: Option<Instant>,
    pub(super) is_joined: bool,
    pub(super) due: Due,
}

/// The time by which the client must have joined, or must have heard its own notice.
#[derive(Clone)]
pub(super) struct Due(Arc<Mutex<Option<Instant>>>);

impl Due {
    pub(super) fn get(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, due: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = due;
    }
}

impl Talk {
    /// The number of lanes for which a text can be kept.
    pub const LANES: u8 = crate::limiter::LANES;

    pub(super) fn new(member: Weak<dyn Member>, news: Arc<Notify>) -> Self {
        let now = Instant::now();
        let due = Due(Arc::new(Mutex::new(now.checked_add(JOIN))));
        Self { member, news, outbox: VecDeque::new(), present_at: now, collect_at: None, is_joined: false, due }
    }

    /// Waits for the next notice to send. Cancel safe: dropping the future loses no notice.
    pub async fn next(&mut self) -> Notice {
        loop {
            if let Some(notice) = self.outbox.pop_front() {
                if self.due.get().is_none() {
                    self.due.set(Instant::now().checked_add(ECHO));
                }
                return notice;
            }
            let now = Instant::now();
            if self.collect_at.is_some_and(|at| at <= now) {
                self.collect_at = None;
                self.collect(now);
            } else if self.present_at <= now {
                self.report_presence(now);
            } else if let Some(at) = self.collect_at {
                sleep_until(at.min(self.present_at)).await;
            } else if let Either::Left(()) = first(pin!(self.news.notified()), pin!(sleep_until(self.present_at))).await
            {
                let is_urgent = self.member.upgrade().is_some_and(|member| member.limiter().is_urgent());
                self.collect_at = now_plus(if is_urgent { 0 } else { fastrand::u64(COLLECT.0..=COLLECT.1) });
            }
        }
    }

    fn collect(&mut self, now: Instant) {
        let Some(member) = self.member.upgrade() else { return };
        for (statement, kept) in member.limiter().notices(now) {
            let keep = kept.and_then(|(kept, lasts)| {
                let lane = statement.word?.lane;
                Some(Keep { lane, text: kept.to_string(), lasts })
            });
            self.outbox.push_back(Notice { text: statement.to_string(), keep });
            self.present_at = now.checked_add(PRESENCE).unwrap_or(now);
        }
    }

    fn report_presence(&mut self, now: Instant) {
        self.present_at = now.checked_add(PRESENCE).unwrap_or(now);
        let presence = self.member.upgrade().and_then(|member| member.limiter().presence(now));
        self.outbox.extend(presence.map(|presence| Notice { text: presence.to_string(), keep: None }));
    }

    /// Records a notice that arrived, whether from another client or from this one. A malformed notice is ignored.
    pub fn heard(&mut self, text: &[u8]) {
        let (Some(statement), Some(member)) = (Statement::parse(text), self.member.upgrade()) else { return };
        if member.limiter().is_own(&statement) {
            if self.is_joined {
                self.due.set(None);
            }
            return;
        }
        member.limiter().hear(statement, Instant::now());
        member.report(Change::Heard);
    }

    /// Records a text that is kept for a lane, and that the board deletes after `lasts`. A malformed text is ignored.
    pub fn kept(&mut self, lane: u8, text: &[u8], lasts: Duration) {
        let (Some(kept), Some(member)) = (Kept::parse(text), self.member.upgrade()) else { return };
        if lane < Self::LANES {
            member.limiter().join(lane, kept, kept.left(lasts), Instant::now());
        }
    }

    /// Records that the client has subscribed to the notices and has read what is kept.
    pub fn joined(&mut self) {
        if std::mem::replace(&mut self.is_joined, true) {
            return;
        }
        self.due.set(None);
        self.present_at = Instant::now();
        if let Some(member) = self.member.upgrade() {
            member.limiter().set_connected(true, Instant::now());
            member.report(Change::Joined);
        }
    }
}

fn now_plus(milliseconds: u64) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_millis(milliseconds))
}

/// The result of the future that was ready first.
pub(super) enum Either<A, B> {
    Left(A),
    Right(B),
}

/// Waits for the first of two futures.
pub(super) async fn first<A, B>(
    mut left: Pin<&mut impl Future<Output = A>>,
    mut right: Pin<&mut impl Future<Output = B>>,
) -> Either<A, B> {
    poll_fn(|context| {
        if let Poll::Ready(value) = left.as_mut().poll(context) {
            return Poll::Ready(Either::Left(value));
        }
        right.as_mut().poll(context).map(Either::Right)
    })
    .await
}

//! The link of a client to the others that share its limiter: the task that keeps the connection.

use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::member::{Change, Member};
use super::talk::{Attendance, Due, Lost, Noticeboard, Talk, first};

/// The longest time for which the first calls of a client wait until it has joined the others.
const LONGEST_JOIN: Duration = Duration::from_millis(250);
/// The first and the longest pause before a new attempt to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The pause after a panic, which would probably occur again, and whose message is printed each time.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(60);

/// The link of a client to the others. Dropping it ends the connection.
pub(crate) struct Link {
    board: Arc<dyn Noticeboard>,
    name: Arc<str>,
    task: Mutex<Task>,
    /// Wakes the calls that wait until the client has joined.
    joined: Notify,
}

#[derive(Default)]
struct Task {
    handle: Option<AbortHandle>,
    /// The time until which the first calls wait.
    wait_until: Option<Instant>,
}

impl Link {
    pub(super) fn new(board: Arc<dyn Noticeboard>, name: String) -> Self {
        Self { board, name: name.into(), task: Mutex::default(), joined: Notify::new() }
    }

    /// Starts the task if it is not running, and waits until the client has joined the others. Waits for at most 250 ms
    /// in the life of a client.
    pub(crate) async fn join<M: Member>(&self, member: &Arc<M>) {
        let wait_until = self.start(member);
        let mut joined = pin!(self.joined.notified());
        joined.as_mut().enable();
        if member.limiter().is_joining() {
            let _ = first(joined, pin!(sleep_until(wait_until))).await;
            member.limiter().end_joining();
        }
    }

    /// Lets the calls start that wait until the client has joined.
    pub(crate) fn has_joined(&self) {
        self.joined.notify_waiters();
    }

    /// Starts the task, unless it is running. It ends with the runtime in which it was started.
    fn start<M: Member>(&self, member: &Arc<M>) -> Instant {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let wait_until = *task.wait_until.get_or_insert_with(|| now.checked_add(LONGEST_JOIN).unwrap_or(now));
        if task.handle.as_ref().is_none_or(AbortHandle::is_finished)
            && let Some(news) = member.limiter().news()
        {
            let member: Weak<M> = Arc::downgrade(member);
            let run = run(member, Arc::clone(&self.board), Arc::clone(&self.name), news);
            task.handle = Some(tokio::spawn(run).abort_handle());
        }
        wait_until
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = &task.handle {
            handle.abort();
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// Keeps a client connected until its last clone is dropped.
async fn run(member: Weak<dyn Member>, board: Arc<dyn Noticeboard>, name: Arc<str>, news: Arc<Notify>) {
    let mut pause = FIRST_PAUSE;
    let mut is_reported = false;
    loop {
        let mut talk = Talk::new(Weak::clone(&member), Arc::clone(&news));
        let due = talk.due.clone();
        // In a block, so that a panic in `attend` itself is a panic of the future.
        let attendance: Attendance<'_> = Box::pin(async { board.attend(&name, &mut talk).await });
        let lost = attend(attendance, &due).await;
        let has_joined = talk.is_joined;
        let Some(member) = member.upgrade() else { return };
        member.limiter().set_connected(false, Instant::now());
        if has_joined {
            (pause, is_reported) = (FIRST_PAUSE, false);
        }
        if !std::mem::replace(&mut is_reported, true) {
            member.report(Change::Lost(lost.why()));
        }
        drop(member);
        sleep(if lost == PANICKED { PAUSE_AFTER_PANIC } else { pause }).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

const PANICKED: Lost = Lost::because("the set-up of the connection panicked");

/// Waits until the connection is lost, or the client has not heard its own notice in time.
async fn attend(mut attendance: Attendance<'_>, due: &Due) -> Lost {
    let watched = poll_fn(|context| {
        // For example, rustls panics if a program contains two cryptographic providers and has chosen none.
        catch_unwind(AssertUnwindSafe(|| attendance.as_mut().poll(context))).unwrap_or(Poll::Ready(PANICKED))
    });
    let mut watched = pin!(watched);
    let mut alarm = pin!(sleep_until(Instant::now()));
    poll_fn(|context| {
        if let Poll::Ready(lost) = watched.as_mut().poll(context) {
            return Poll::Ready(lost);
        }
        while let Some(at) = due.get() {
            if alarm.deadline() != at {
                alarm.as_mut().reset(at);
            }
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if due.get() == Some(at) {
                return Poll::Ready(Lost::because("no response"));
            }
        }
        Poll::Pending
    })
    .await
}

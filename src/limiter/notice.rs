//! Notices: the statements that processes with one key exchange, and their text.
//!
//! A notice is one line of ASCII. Times are milliseconds that are still to go, so no clocks are compared.

use std::fmt;
use std::time::Duration;

use super::lane::LANES;
use super::ledger::Seconds;
use super::window::LONGEST_PAUSE;

/// The version of the text. Notices of another version are ignored.
const VERSION: &str = "1";
/// The maximum length of a notice, in bytes.
const LONGEST: usize = 96;
/// The greatest count in a notice.
const MOST: u32 = 1 << 20;
/// After a window, its limit is kept for newcomers for this many windows.
const KEPT_WINDOWS: u32 = 10;

/// The random number of a client that shares its limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Process(pub(crate) u64);

/// The subject of a notice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Notice {
    pub(crate) process: Process,
    /// The statement about a lane; `None` if the process only reports that it is present.
    pub(crate) word: Option<Word>,
}

/// A statement about one lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Word {
    pub(crate) lane: u8,
    /// True if the service throttles requests, false if the process has used up its share of the limit.
    pub(crate) is_paused: bool,
    /// The rest of the pause that the service requested from this process, 0 if it requested none. Without a pause,
    /// the time until the next place of this process.
    pub(crate) left: Seconds,
    /// The length of the window, 0 if it is not known.
    pub(crate) length: Seconds,
    /// The requests of this process that the service accepted in this window.
    pub(crate) took: u32,
    /// The calls that wait.
    pub(crate) want: u32,
    /// The limit of all processes together, 0 if it is not known.
    pub(crate) limit: u32,
}

impl Notice {
    /// Parses a notice. Returns `None` if it is malformed or of another version.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= LONGEST && text.is_ascii())?;
        let mut fields = text.split(' ');
        if fields.next()? != VERSION {
            return None;
        }
        let process = fields.next().filter(|field| field.len() == 16)?;
        let process = Process(u64::from_str_radix(process, 16).ok()?);
        let Some(kind) = fields.next() else { return Some(Self { process, word: None }) };
        let is_paused = match kind {
            "p" => true,
            "u" => false,
            _ => return None,
        };
        let numbers: Vec<u32> = fields.map(|field| field.parse().ok()).collect::<Option<_>>()?;
        let [lane, left, length, took, want, limit] = *numbers.as_slice() else { return None };
        let lane = u8::try_from(lane).ok().filter(|lane| *lane < LANES)?;
        if took.max(want).max(limit) > MOST {
            return None;
        }
        let (left, length) = (seconds(left)?, seconds(length)?);
        Some(Self { process, word: Some(Word { lane, is_paused, left, length, took, want, limit }) })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION} {:016x}", self.process.0)?;
        let Some(word) = &self.word else { return Ok(()) };
        let Word { lane, is_paused, left, length, took, want, limit } = *word;
        f.write_str(if is_paused { " p " } else { " u " })?;
        let (left, length) = (milliseconds(left), milliseconds(length));
        write!(f, "{lane} {left} {length} {} {} {}", took.min(MOST), want.min(MOST), limit.min(MOST))
    }
}

/// The limit of a lane that is kept for processes that join later.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Kept {
    pub(crate) length: Seconds,
    pub(crate) limit: u32,
    /// The number of processes with calls that wait.
    pub(crate) processes: u32,
}

impl Kept {
    /// Returns the time for which the text is kept, if the present window still lasts for `left`.
    pub(crate) fn lasts(&self, left: Seconds) -> Duration {
        let length = Duration::from_millis(milliseconds(self.length).into());
        Duration::from_millis(milliseconds(left).into()).saturating_add(length.saturating_mul(KEPT_WINDOWS))
    }

    /// Returns the rest of the window of a text that is kept for another `lasts`; 0 if the window has passed.
    pub(crate) fn left(&self, lasts: Duration) -> Seconds {
        (lasts.as_secs_f64() - self.length * f64::from(KEPT_WINDOWS)).clamp(0.0, LONGEST_PAUSE)
    }

    /// Parses a kept text. Returns `None` if it is malformed.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= LONGEST)?;
        let numbers: Vec<u32> = text.split(' ').map(|field| field.parse().ok()).collect::<Option<_>>()?;
        let [length, limit, processes] = *numbers.as_slice() else { return None };
        (length > 0 && limit.max(processes) <= MOST).then_some(())?;
        Some(Self { length: seconds(length)?, limit, processes })
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", milliseconds(self.length), self.limit.min(MOST), self.processes.min(MOST))
    }
}

fn seconds(milliseconds: u32) -> Option<Seconds> {
    let time = f64::from(milliseconds) / 1000.0;
    (time <= LONGEST_PAUSE).then_some(time)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn milliseconds(time: Seconds) -> u32 {
    (time.clamp(0.0, LONGEST_PAUSE) * 1000.0 - 1e-6).ceil() as u32
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use super::{Kept, Notice, Process, Word};

    #[test]
    fn a_notice_reads_as_it_was_written() {
        let word = Word { lane: 15, is_paused: true, left: 1.992, length: 3600.0, took: 1 << 20, want: 50, limit: 0 };
        for word in [Some(word), Some(Word { is_paused: false, ..word }), None] {
            let notice = Notice { process: Process(u64::MAX - 1), word };
            let text = notice.to_string();
            assert!(text.len() <= 96, "{text}");
            assert_eq!(Notice::parse(text.as_bytes()), Some(notice), "{text}");
        }
    }

    #[test]
    fn a_malformed_notice_is_ignored() {
        let id = "00000000000000ff";
        let texts = [
            String::new(),
            "1".to_owned(),
            format!("2 {id}"),
            format!("1 {id} "),
            "1 ff".to_owned(),
            format!("1 {id} x 0 1 1 1 1 1"),
            format!("1 {id} p 16 1 1 1 1 1"),
            format!("1 {id} p 0 3600001 1 1 1 1"),
            format!("1 {id} p 0 1 1 1048577 1 1"),
            format!("1 {id} p 0 1 1 1 1"),
            format!("1 {id} p 0 1 1 1 1 1 1"),
            format!("1 {id} p 0 -1 1 1 1 1"),
            format!("1 {id} p 0 1 1 1 1 99999999999"),
            format!("1 {id} p 0 1 1 1 1 1{}", " ".repeat(96)),
        ];
        for text in texts {
            assert_eq!(Notice::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Notice::parse(&[0xff; 20]), None);
    }

    #[test]
    fn what_is_kept_lasts_for_ten_windows_after_the_present_one() {
        let kept = Kept { length: 2.0, limit: 50, processes: 4 };
        assert_eq!(Kept::parse(kept.to_string().as_bytes()), Some(kept));
        assert_eq!(kept.lasts(1.5), Duration::from_millis(21_500));
        assert!((kept.left(Duration::from_millis(21_500)) - 1.5).abs() < 1e-6);
        assert!(kept.left(Duration::from_secs(19)).abs() < 1e-6, "the window has passed");
        for text in ["", "0 1 1", "1 1", "1 1 1 1", "1 1048577 1", "99999999 1 1", "a b c"] {
            assert_eq!(Kept::parse(text.as_bytes()), None, "{text:?}");
        }
    }
}

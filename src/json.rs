//! Lenient reading of JSON objects: [`Members`].

use std::borrow::Cow;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of a JSON object, in order and not yet parsed, so that an invalid member does not affect the others.
#[derive(Default)]
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Returns the complete members of a possibly truncated object; none if the text is not a JSON object.
    pub(crate) fn of(text: &'a str) -> Self {
        // An error means that the rest is truncated or invalid; the members before it are complete.
        Self::collected(text, usize::MAX).0
    }

    /// Returns all members; `None` if the text is not a JSON object, if one of them cannot be read, or if there are
    /// more than 1,000: a member takes eight times as much memory as its shortest text.
    pub(crate) fn all(text: &'a str) -> Option<Self> {
        const MOST: usize = 1_000;
        let (members, end) = Self::collected(text, MOST);
        end.is_ok().then_some(members)
    }

    fn collected(text: &'a str, most: usize) -> (Self, serde_json::Result<()>) {
        const USUAL: usize = 8;
        let mut members = Self(Vec::with_capacity(USUAL));
        let collector = Collector { members: &mut members, most };
        let end = serde_json::Deserializer::from_str(text).deserialize_map(collector);
        (members, end)
    }

    /// Returns the value of the last member with this name for which `read` returns one.
    pub(crate) fn last<T>(&self, name: &str, read: impl Fn(&'a RawValue) -> Option<T>) -> Option<T> {
        self.0.iter().rev().filter(|(member, _)| member == name).find_map(|(_, raw)| read(raw))
    }
}

/// The members that were read so far, and the number of members that may be read.
struct Collector<'m, 'a> {
    members: &'m mut Members<'a>,
    most: usize,
}

impl<'de> Visitor<'de> for Collector<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            if self.members.0.len() == self.most {
                return Err(de::Error::custom("too many members"));
            }
            self.members.0.push((name, map.next_value()?));
        }
        Ok(())
    }
}

/// A JSON string, borrowed from the document unless it contains escapes.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'a> Text<'a> {
    /// Returns the string that `raw` contains; `None` for another type, or for a string with half of a surrogate pair.
    pub(crate) fn of(raw: &'a RawValue) -> Option<Self> {
        let quoted = raw.get().strip_prefix('"')?.strip_suffix('"')?;
        // Checking every byte is faster than stopping at the first backslash, because the loop is vectorized.
        if quoted.bytes().fold(0, |found, byte| found | u8::from(byte == b'\\')) > 0 {
            return serde_json::from_str(raw.get()).ok();
        }
        Some(Self(Cow::Borrowed(quoted)))
    }
}

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowing;

        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Borrowing)
    }
}

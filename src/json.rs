//! A JSON object, member by member in its order: [`Members`].

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of a JSON object, each still unread, so that one which is ill-typed or too deep spoils no other.
#[derive(Default)]
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The members that came whole, in order; none if the text is not a JSON object.
    pub(crate) fn of(text: &'a str) -> Self {
        // An error means that the rest is truncated or not JSON; what was gathered until there stays.
        Self::gathered(text).0
    }

    /// All members; `None` if the text is not a JSON object, or one of them cannot be read.
    pub(crate) fn all(text: &'a str) -> Option<Self> {
        let (members, end) = Self::gathered(text);
        end.is_ok().then_some(members)
    }

    fn gathered(text: &'a str) -> (Self, serde_json::Result<()>) {
        const USUAL: usize = 8;
        let mut members = Self(Vec::with_capacity(USUAL));
        let end = serde_json::Deserializer::from_str(text).deserialize_map(&mut members);
        (members, end)
    }

    /// What `read` makes of the last member of this name that it can read.
    pub(crate) fn last<T>(&self, name: &str, read: impl Fn(&'a RawValue) -> Option<T>) -> Option<T> {
        self.0.iter().rev().filter(|(member, _)| member == name).find_map(|(_, raw)| read(raw))
    }
}

impl<'de> Visitor<'de> for &mut Members<'de> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            self.0.push((name, map.next_value()?));
        }
        Ok(())
    }
}

/// A text of a JSON document, borrowed from it where nothing in it is escaped.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'a> Text<'a> {
    /// The text that a value of a document is; `None` for a value of another type or with half a surrogate pair.
    pub(crate) fn of(raw: &'a RawValue) -> Option<Self> {
        let quoted = raw.get().strip_prefix('"')?.strip_suffix('"')?;
        // To look at every byte is quicker than to stop at the first: it is done for many at once.
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
                f.write_str("a text")
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

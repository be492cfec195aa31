//! The macro for sets of values that requests send.

/// Defines a documented set of values as an enum: the name of each value, and its text as it is sent.
///
/// The enum is for sending only. It serializes to its text, in a body and in a query.
macro_rules! values {
    ($(#[$attribute:meta])* pub enum $name:ident { $($variant:ident = $text:literal)* }) => {
        $(#[$attribute])*
        ///
        /// The enum is for requests. A service may send or accept further values, so read values of responses as text,
        /// and send another value as text.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(
                #[doc = concat!("Sent as `", $text, "`.")]
                $variant,
            )*
        }

        impl $name {
            /// All documented values.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the value as it is sent.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        /// Serializes the value as it is sent.
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}
pub(super) use values;

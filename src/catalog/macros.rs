//! The table of one service's documented errors, as the macro [`error_codes!`](crate::error_codes) reads it.

/// Makes the table of one service's documented errors.
///
/// A row is two doc lines (what it means, what to do) and the columns variant, wire code, status, [`Category`](crate::Category),
/// [`Retry`](crate::Retry) and [`Effect`](crate::Effect). `at SOURCES` before the brace names a constant with the addresses of the vendor's pages. After the enum may follow `answers`, rows for answers that the page describes by status
/// without a code, and `no_answer`, one row for when none comes.
///
/// From it come a fieldless `Copy` enum with `ALL`, `from_wire`, `info`, `as_str` and `of`, and its [`ErrorCode`](crate::ErrorCode).
///
/// ```
/// steadfast::error_codes! {
///     /// The codes of a parcel service.
///     pub enum Code of "parcels" {
///         // variant     wire code     status  category        retry            effect
///
///         /// The parcel has left the depot.
///         /// Change the address at the carrier instead.
///         AlreadySent =  "sent"        409     Conflict        Never            Possible
///
///         /// The depot is closed for the night.
///         /// Send it again in one to two minutes.
///         Closed      =  "closed"      503     Unavailable     After(60..=120)  None
///     }
///     answers {
///         // statuses  category        retry     effect
///
///         /// The request misses something.
///         /// Compare it with the parcel service's form.
///         400..=400    InvalidRequest  Unstated  None
///     }
/// }
///
/// assert_eq!(Code::from_wire("sent"), Some(Code::AlreadySent));
/// assert_eq!(Code::Closed.info().fix, "Send it again in one to two minutes.");
/// ```
#[macro_export]
macro_rules! error_codes {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident of $service:literal $(at $sources:path)? {
            $(
                #[doc = $meaning:literal]
                #[doc = $fix:literal]
                $variant:ident = $wire:literal $status:literal
                $category:ident $retry:ident $(($seconds:expr))? $effect:ident
            )*
        }
        $(answers {
            $(
                #[doc = $answer_meaning:literal]
                #[doc = $answer_fix:literal]
                $first:literal ..= $last:literal
                $answer_category:ident $answer_retry:ident $(($answer_seconds:expr))? $answer_effect:ident
            )*
        })?
        $(no_answer {
            #[doc = $none_meaning:literal]
            #[doc = $none_fix:literal]
            $none_category:ident $none_retry:ident $none_effect:ident
        })?
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        $visibility enum $name {
            $(
                #[doc = $meaning]
                #[doc = $fix]
                #[doc = concat!("\nSent as `", $wire, "` with status ", $status, ".")]
                $variant,
            )*
        }

        impl $name {
            /// Every documented code, in the page's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code that the service writes as `wire`; `None` for one that its page does not list.
            #[must_use]
            pub fn from_wire(wire: &str) -> Option<Self> {
                match wire {
                    $($wire => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The code as the service writes it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $wire,)*
                }
            }

            /// The documented row of this code.
            #[must_use]
            pub fn info(self) -> &'static $crate::CodeInfo {
                match self {
                    $(Self::$variant => {
                        static ROW: $crate::CodeInfo = $crate::CodeInfo::row(
                            $service,
                            Some($wire),
                            $status..=$status,
                            $crate::Category::$category,
                            $crate::Retry::$retry $(($seconds))?,
                            $crate::Effect::$effect,
                            [$meaning, $fix],
                        )
                        .on(<$name as $crate::ErrorCode>::SOURCES);
                        &ROW
                    })*
                }
            }

            /// The code that `error` carries, where it came from this service and its page lists the code.
            #[must_use]
            pub fn of(error: &$crate::ApiError) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| error.is(*code))
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::ErrorCode for $name {
            const SERVICE: &'static str = $service;
            const SOURCES: &'static [&'static str] = {
                let named: &[&'static [&'static str]] = &[$($sources)?];
                match named {
                    [sources, ..] => sources,
                    [] => &[],
                }
            };
            const ALL: &'static [Self] = Self::ALL;
            const ANSWERS: &'static [$crate::CodeInfo] = &[$($(
                $crate::CodeInfo::row(
                    $service,
                    None,
                    $first..=$last,
                    $crate::Category::$answer_category,
                    $crate::Retry::$answer_retry $(($answer_seconds))?,
                    $crate::Effect::$answer_effect,
                    [$answer_meaning, $answer_fix],
                )
                .on(<$name as $crate::ErrorCode>::SOURCES),
            )*)?];
            const NO_ANSWER: Option<&'static $crate::CodeInfo> = [$(
                &$crate::CodeInfo::row(
                    $service,
                    None,
                    ::std::ops::RangeInclusive::new(1, 0),
                    $crate::Category::$none_category,
                    $crate::Retry::$none_retry,
                    $crate::Effect::$none_effect,
                    [$none_meaning, $none_fix],
                )
                .on(<$name as $crate::ErrorCode>::SOURCES),
            )?]
            .as_slice()
            .first()
            .copied();

            fn info(self) -> &'static $crate::CodeInfo {
                self.info()
            }

            fn from_wire(wire: &str) -> Option<Self> {
                Self::from_wire(wire)
            }
        }
    };
}

//! The macro [`error_codes!`](crate::error_codes), which turns a table of documented errors into types.

/// Defines the documented errors of one service, as a table.
///
/// The macro generates a fieldless `Copy` enum with `ALL`, `from_wire`, `info`, `as_str` and `of`. The enum implements
/// [`ErrorCode`](crate::ErrorCode), `Display` and `Debug`.
///
/// Each row starts with two doc lines: the meaning of the error, and the advice that
/// [`ApiError::help`](crate::ApiError::help) returns. A row with one line, or with three, does not compile. They are
/// followed by six columns:
///
/// | Column | Content |
/// |---|---|
/// | variant | the name of the variant |
/// | wire code | the code as the service sends it |
/// | status | the documented HTTP status, or several: `403 \| 429` |
/// | category | a variant of [`Category`](crate::Category) |
/// | retry | a variant of [`Retry`](crate::Retry), such as `Backoff` or `After(5..=10)` |
/// | effect | a variant of [`Effect`](crate::Effect): `None` only if the response proves that the request had no effect |
///
/// Three parts are optional. `at SOURCES` names a constant with the addresses of the vendor's documentation, a
/// `&[&str]`. An `answers` block lists responses that are documented by status alone, with a range of statuses instead
/// of variant, code and status. A `no_answer` block with a single row describes the case that no response arrives.
///
/// ```
/// steadfast::error_codes! {
///     /// The codes of a parcel service.
///     pub enum Code of "parcels" {
///         // variant     wire code     status  category        retry            effect
///
///         /// The parcel has left the depot.
///         /// Change the delivery address with the carrier.
///         AlreadySent =  "sent"        409     Conflict        Never            Possible
///
///         /// The depot is closed for the night.
///         /// Retry after one to two minutes.
///         Closed      =  "closed"      503     Unavailable     After(60..=120)  None
///
///         /// Too many parcels are at the depot.
///         /// Retry later.
///         Full        =  "full"  403 | 429     RateLimited     Backoff          None
///     }
///     answers {
///         // statuses  category        retry     effect
///
///         /// The request is incomplete.
///         /// Compare the request with the API reference.
///         400..=400    InvalidRequest  Unstated  None
///     }
/// }
///
/// assert_eq!(Code::from_wire("sent"), Some(Code::AlreadySent));
/// assert_eq!(Code::Closed.info().fix, "Retry after one to two minutes.");
/// assert!(Code::Full.info().is_documented_under(http::StatusCode::TOO_MANY_REQUESTS));
/// ```
#[macro_export]
macro_rules! error_codes {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident of $service:literal $(at $sources:path)? {
            $(
                $(#[doc = $text:literal])*
                $variant:ident = $wire:literal $status:literal $(| $other_status:literal)*
                $category:ident $retry:ident $(($seconds:expr))? $effect:ident
            )*
        }
        $(answers {
            $(
                $(#[doc = $response_text:literal])*
                $first:literal ..= $last:literal
                $response_category:ident $response_retry:ident $(($response_seconds:expr))? $response_effect:ident
            )*
        })?
        $(no_answer {
            $(#[doc = $no_response_text:literal])*
            $no_response_category:ident $no_response_retry:ident $no_response_effect:ident
        })?
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        $visibility enum $name {
            $(
                $(#[doc = $text])*
                #[doc = concat!("\nSent as `", $wire, "` with status ", $status $(, " or ", $other_status)*, ".")]
                $variant,
            )*
        }

        impl $name {
            /// All documented codes, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Returns the code that the service sends as `wire`; `None` for an undocumented code.
            #[must_use]
            pub fn from_wire(wire: &str) -> Option<Self> {
                match wire {
                    $($wire => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Returns the code as the service sends it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $wire,)*
                }
            }

            /// Returns the row of this code.
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
                            $crate::error_codes!(@lines ["the row `", stringify!($variant), "`"] $($text)*),
                        )
                        .or_under(&[$($other_status),*])
                        .on(<$name as $crate::ErrorCode>::SOURCES);
                        &ROW
                    })*
                }
            }

            /// Returns the code of an error response from this service; `None` for an undocumented code or another
            /// error.
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
                    $crate::Category::$response_category,
                    $crate::Retry::$response_retry $(($response_seconds))?,
                    $crate::Effect::$response_effect,
                    $crate::error_codes!(@lines ["the row `", $first, "..=", $last, "`"] $($response_text)*),
                )
                .on(<$name as $crate::ErrorCode>::SOURCES),
            )*)?];
            const NO_ANSWER: Option<&'static $crate::CodeInfo> = [$(
                &$crate::CodeInfo::row(
                    $service,
                    None,
                    ::std::ops::RangeInclusive::new(1, 0),
                    $crate::Category::$no_response_category,
                    $crate::Retry::$no_response_retry,
                    $crate::Effect::$no_response_effect,
                    $crate::error_codes!(@lines ["the row of `no_answer`"] $($no_response_text)*),
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
    (@lines [$($row:tt)*] $($line:literal)*) => {
        $crate::CodeInfo::lines(
            concat!($($row)*, " of `error_codes!` needs two doc lines: the meaning of the error, then the advice"),
            &[$($line),*],
        )
    };
}

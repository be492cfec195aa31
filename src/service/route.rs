//! The documented routes of a service: [`RouteInfo`] and [`Route`].

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use http::Method;
use url::Url;

use crate::catalog::Scope;
use crate::limiter::Lane;

/// A documented route of a service: one row of its table of routes.
///
/// ```
/// use steadfast::{FsmNavigator, Service};
///
/// let locations = FsmNavigator::ROUTES.iter().find(|route| route.template == "/customers?id={id}&locations=1");
/// assert_eq!(locations.and_then(|route| route.scope).map(|scope| scope.name), Some("customers:read"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteInfo {
    /// The method.
    pub method: Method,
    /// The path below the base URL and the query. IDs are in braces, such as `/jobs?id={id}`.
    pub template: &'static str,
    /// The scope that the key needs, if one is documented.
    pub scope: Option<Scope>,
    /// The lane of the documented limit; `None` if the documentation does not assign the route to a limit.
    /// [`Service::lane`](crate::Service::lane) then assigns the lane.
    pub lane: Option<Lane>,
    /// The member of the response that contains the list, for a list whose member is documented.
    pub list: Option<&'static str>,
    /// The address of the vendor's documentation of the route.
    pub source: Option<&'static str>,
}

impl RouteInfo {
    /// Creates a row without scope, lane, list and source. IDs are in braces, each as a whole segment of the path or
    /// as a whole value of the query.
    #[must_use]
    pub const fn new(method: Method, template: &'static str) -> Self {
        Self { method, template, scope: None, lane: None, list: None, source: None }
    }

    /// Sets the scope.
    #[must_use]
    pub const fn with_scope(mut self, scope: Scope) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Sets the lane.
    #[must_use]
    pub const fn with_lane(mut self, lane: Lane) -> Self {
        self.lane = Some(lane);
        self
    }

    /// Sets the member that contains the list.
    #[must_use]
    pub const fn with_list(mut self, member: &'static str) -> Self {
        self.list = Some(member);
        self
    }

    /// Sets the address of the documentation.
    #[must_use]
    pub const fn with_source(mut self, source: &'static str) -> Self {
        self.source = Some(source);
        self
    }

    /// Returns the segments of the path. An ID is in braces.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &'static str> {
        let (path, _) = self.template.split_once('?').unwrap_or((self.template, ""));
        path.split('/').skip(1)
    }

    /// Returns the parameters of the query. The value of an ID is in braces.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let (_, query) = self.template.split_once('?').unwrap_or_default();
        query.split('&').filter_map(|pair| pair.split_once('='))
    }

    /// Returns whether a request with this path, which is below the base URL, and this query matches the route.
    ///
    /// The query may have further parameters, such as filters, but none by which another row with the same path selects
    /// a record or a part of it.
    fn matches(&self, path: &str, query: &[(Cow<'_, str>, Cow<'_, str>)], table: &[&Self]) -> bool {
        let is_path = |row: &Self| {
            let mut segments = path.split('/').skip(1);
            row.segments().all(|segment| segments.next().is_some_and(|text| fits(segment, text)))
                && segments.next().is_none()
        };
        let is_parameter = |row: &Self, name: &str| row.parameters().any(|(own, _)| own == name);
        is_path(self)
            && self.parameters().all(|(name, value)| query.iter().any(|(own, text)| own == name && fits(value, text)))
            && query.iter().all(|(name, _)| {
                is_parameter(self, name) || !table.iter().any(|row| is_path(row) && is_parameter(row, name))
            })
    }
}

/// Returns whether a part of a template is an ID.
pub(crate) fn is_id(part: &str) -> bool {
    part.starts_with('{')
}

/// Returns whether a part of a template covers `text`.
fn fits(part: &str, text: &str) -> bool {
    if is_id(part) { !text.is_empty() } else { part == text }
}

/// Returns the row of a request, the one with the fewest IDs in its path if there are several. `path` is below the base
/// URL.
pub(super) fn find(table: &[&'static RouteInfo], method: &Method, path: &str, url: &Url) -> Option<&'static RouteInfo> {
    let query: Vec<_> = url.query_pairs().collect();
    let found = table.iter().copied().filter(|row| row.method == *method && row.matches(path, &query, table));
    found.min_by_key(|row| row.segments().filter(|segment| is_id(segment)).count())
}

/// A documented route of the service `S`, with its IDs. [`Client::call`](crate::Client::call) makes a request of it.
///
/// [`abaco::Route`](super::abaco::Route) and [`fsm_navigator::Route`](super::fsm_navigator::Route) list the routes.
/// The names of the functions and constants read like the variants of an enum. An ID can be a number or a text.
///
/// ```no_run
/// use steadfast::{Client, FsmNavigator, abaco, fsm_navigator};
///
/// # async fn example(client: Client<FsmNavigator>) -> Result<(), steadfast::ApiError> {
/// // GET /jobs?id=7
/// let job: serde_json::Value = client.call(fsm_navigator::Route::Job(7)).fetch().await?;
/// # Ok(()) }
/// ```
///
/// A route of another service does not compile:
///
/// ```compile_fail,E0308
/// # use steadfast::{Client, FsmNavigator, abaco};
/// # fn example(client: Client<FsmNavigator>) {
/// let request = client.call(abaco::Route::Document(7));
/// # }
/// ```
pub struct Route<S> {
    info: &'static RouteInfo,
    ids: Vec<String>,
    service: PhantomData<fn() -> S>,
}

impl<S> Route<S> {
    /// Creates a route from its row, and the IDs in the order of the template.
    pub(crate) const fn new(info: &'static RouteInfo, ids: Vec<String>) -> Self {
        Self { info, ids, service: PhantomData }
    }

    /// Returns the row of the route.
    #[must_use]
    pub fn info(&self) -> &'static RouteInfo {
        self.info
    }

    pub(crate) fn into_parts(self) -> (&'static RouteInfo, Vec<String>) {
        (self.info, self.ids)
    }
}

impl<S> Clone for Route<S> {
    fn clone(&self) -> Self {
        Self::new(self.info, self.ids.clone())
    }
}

/// Prints the method and the template, without the IDs.
impl<S> fmt::Debug for Route<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Route({} {})", self.info.method, self.info.template)
    }
}

/// Defines the documented routes of a service as a table, grouped by the documentation that describes them.
///
/// Each row has a doc line and up to six columns: the name with its IDs, the method, the template, the scope, the lane
/// and, in brackets, the member of the response that contains the list. The last three are left out where the
/// documentation does not state them. A service with scopes defines the macro `scope!`, which makes a [`Scope`] of a
/// name.
macro_rules! routes {
    ($service:ident; $($source:literal {
        $(
            #[doc = $meaning:literal]
            $name:ident $(($($id:ident),+))? = $method:ident $template:literal $($scope:literal $($lane:ident)?)?
            $([$list:literal])?
        )*
    })*) => {
        /// The rows of the table, each under the name of its route.
        #[allow(non_upper_case_globals, clippy::wildcard_imports)]
        mod rows {
            use super::*;

            $($(
                pub(super) static $name: RouteInfo = RouteInfo::new(http::Method::$method, $template)
                    $(.with_scope(scope!($scope)) $(.with_lane($lane))?)?
                    $(.with_list($list))?
                    .with_source($source);
            )*)*
        }

        /// The table of the routes.
        const ROUTES: &[&RouteInfo] = &[$($(&rows::$name),*),*];

        #[expect(non_snake_case, non_upper_case_globals, reason = "they read like the variants of an enum")]
        impl crate::service::Route<$service> {
            $($(
                routes! { @route
                    #[doc = $meaning]
                    #[doc = concat!("\n`", stringify!($method), " ", $template, "`, [documented here](", $source, ").")]
                    $(#[doc = concat!("The key needs the scope `", $scope, "`.")])?
                    $name $($($id)+)?
                }
            )*)*
        }
    };
    (@route $(#[doc = $line:expr])* $name:ident) => {
        $(#[doc = $line])*
        pub const $name: Self = Self::new(&rows::$name, Vec::new());
    };
    (@route $(#[doc = $line:expr])* $name:ident $($id:ident)+) => {
        $(#[doc = $line])*
        #[must_use]
        pub fn $name($($id: impl std::fmt::Display),+) -> Self {
            Self::new(&rows::$name, vec![$($id.to_string()),+])
        }
    };
}
pub(super) use routes;

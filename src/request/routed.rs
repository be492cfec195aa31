//! The request of a documented route.

use std::sync::Arc;

use url::form_urlencoded;

use super::Request;
use crate::address;
use crate::core::Core;
use crate::error::{BuildError, BuildErrorKind};
use crate::service::route::{RouteInfo, is_id};

impl Request {
    /// Creates the request of a route. Its IDs are encoded, so that none can change the route.
    pub(crate) fn routed(core: &Arc<Core>, route: &RouteInfo, ids: Vec<String>) -> Self {
        let mut ids = ids.into_iter();
        let mut filled = |part: &str| if is_id(part) { ids.next().unwrap_or_default() } else { part.to_owned() };
        let mut request = Self::new(core, route.method.clone(), "/");
        for segment in route.segments() {
            request = request.segment(filled(segment));
        }
        for (name, value) in route.parameters() {
            let value = filled(value);
            request = request.change(|parts| {
                if value.is_empty() || value.chars().any(char::is_control) {
                    let problem = format!("the ID in {name} is empty or has a control character; use another ID");
                    return Err(BuildError::new(BuildErrorKind::Query, problem));
                }
                let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, &value).finish();
                address::add_query(&mut parts.url, &pair);
                Ok(())
            });
        }
        request
    }
}

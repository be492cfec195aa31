//! The checks of a builder's settings, and the client that is made of them.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{ACCEPT, HeaderValue, USER_AGENT};

use super::{Client, ClientBuilder};
use crate::address;
use crate::catalog::ErrorCode;
use crate::core::key::Credentials;
use crate::core::{Core, Settings};
use crate::error::{ApiError, BuildError, BuildErrorKind};
use crate::headers;
use crate::service::{Service, documented_route, missing_scope};
use crate::transport::carrier::Carrier;

impl<S: Service> ClientBuilder<S> {
    /// Builds the client. This opens no connection.
    ///
    /// # Errors
    ///
    /// Returns [`ApiError::Build`] if a setting is invalid or contradicts another one; the error names the setting and
    /// the correction. Defaults yield to explicit settings: a [`deadline`](Self::deadline) of 5 s is valid, although
    /// the default [`attempt_timeout`](Self::attempt_timeout) is longer.
    pub fn build(self) -> Result<Client<S>, ApiError> {
        let core = self.core().map_err(|problem| problem.of(S::NAME))?;
        Ok(Client::of(core))
    }

    /// Returns a message about the first setting that is invalid or contradicts another one.
    fn contradiction(&self) -> Option<String> {
        let explicit = [
            ("connect_timeout", self.connect_timeout),
            ("attempt_timeout", self.attempt_timeout),
            ("deadline", self.deadline),
        ];
        if self.queue_timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Some("queue_timeout is zero; set a longer time, or leave it out for no limit".to_owned());
        }
        let mut explicit: Vec<_> = explicit.into_iter().filter_map(|(name, limit)| Some((name, limit?))).collect();
        if let Some((name, _)) = explicit.iter().find(|(_, limit)| limit.is_zero()) {
            return Some(format!("{name} is zero; set a longer time, or Duration::MAX for no limit"));
        }
        explicit.retain(|(_, limit)| *limit != Duration::MAX);
        let outlasts = |pair: &&[(&str, Duration)]| matches!(pair, [(_, inner), (_, outer)] if inner > outer);
        if let Some([(inner, _), (outer, _)]) = explicit.windows(2).find(outlasts) {
            return Some(format!("{inner} is longer than {outer}; lower {inner} or raise {outer}"));
        }
        if self.max_in_flight == 0 {
            return Some("max_in_flight is zero; set it to at least 1".to_owned());
        }
        self.retry.contradiction().or_else(|| self.budget.contradiction()).map(str::to_owned)
    }

    fn core(self) -> Result<Core, Box<BuildError>> {
        let base_url = address::parse_base(&self.base_url, self.allow_http).map_err(|mut problem| {
            if let Some(variable) = &self.base_url_variable {
                problem.in_variable(variable);
            }
            problem
        })?;
        if let Some(problem) = self.contradiction() {
            return Err(BuildError::new(BuildErrorKind::Configuration, problem));
        }
        let key = Credentials::of(&self.key)?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        let user_agent = HeaderValue::try_from(&*self.user_agent).map_err(|_| {
            BuildError::new(BuildErrorKind::Header, "the user agent contains a control character; remove it")
        })?;
        headers.insert(USER_AGENT, user_agent);
        for (name, value) in &self.headers {
            let (name, value) = headers::parse(&key.header, name, value)?;
            headers.insert(name, value);
        }
        let transport = if let Some(transport) = self.transport {
            Carrier::Given(transport, None)
        } else {
            let connect_timeout = self.connect_timeout.unwrap_or(Duration::from_secs(10));
            let is_http = base_url.scheme() == "http";
            let key = key.header.clone();
            let is_ours = move |name: &_| headers::is_reserved(&key, name);
            Carrier::Reqwest(Arc::new(self.reqwest.pools(is_ours, connect_timeout, is_http, self.max_body)?))
        };
        let transport = self.wrappers.into_iter().fold(transport, Carrier::wrapped);
        let settings = Settings {
            service: S::NAME,
            no_response: <S::Code as ErrorCode>::NO_ANSWER,
            read: ApiError::read::<S>,
            is_error: S::is_error,
            route: documented_route::<S>,
            missing_scope: missing_scope::<S>,
            cursor: S::CURSOR,
            base_url,
            headers,
            transport,
            retry: self.retry,
            retryable: self.retryable,
            retry_budget: self.budget,
            max_in_flight: self.max_in_flight,
            documented_limits: S::LIMITS,
            shared_limiter: self.shared_limiter,
            lane: S::lane,
            queue_timeout: self.queue_timeout,
            observer: self.observer,
            deadline: self.deadline.unwrap_or(Duration::from_secs(300)),
            attempt_timeout: self.attempt_timeout.unwrap_or(Duration::from_secs(30)),
            max_body: self.max_body,
        };
        Core::new(Arc::new(settings), key, self.key_source)
    }
}

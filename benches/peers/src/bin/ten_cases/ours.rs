//! This crate, with all settings at their defaults.

use std::time::SystemTime;

use steadfast::{Abaco, ApiError, Client, Response, abaco};

use crate::case::{BODY, Method, PATH};
use crate::library::Outcome;

#[derive(Clone)]
pub struct Ours(Client<Abaco>);

impl Ours {
    pub fn new(url: &str) -> Self {
        let key = abaco::ApiKey::new("abk_local", "not-a-real-secret").expect("a well-formed key");
        Self(Client::builder(key).base_url(url).build().expect("a client"))
    }

    pub async fn call(&self, method: Method) -> Outcome {
        self.send(method).await.map(drop).map_err(|error| {
            let code = abaco::Code::of(&error).map_or_else(String::new, |code| format!(", code `{code:?}`"));
            format!("`{}`{code}", variant(&error))
        })
    }

    /// Makes a call, and describes its attempts and its result, one per line.
    pub async fn describe(&self, method: Method) -> Vec<String> {
        match self.send(method).await {
            Ok(response) => {
                let attempts = response.attempts().iter().map(ToString::to_string);
                attempts.chain([format!("success: {}", response.status())]).collect()
            }
            Err(error) => {
                let mut lines: Vec<String> = error.attempts().iter().map(ToString::to_string).collect();
                lines.push(format!("ApiError::{}, stop_reason {:?}", variant(&error), error.stop_reason()));
                if let Some(code) = abaco::Code::of(&error) {
                    lines.push(format!("abaco::Code::{code:?}"));
                }
                if let Some(wait) = error.retry_at().and_then(|at| at.duration_since(SystemTime::now()).ok()) {
                    lines.push(format!("retry_at: {:.0} s from now", wait.as_secs_f64()));
                }
                lines.push(error.to_string());
                lines
            }
        }
    }

    async fn send(&self, method: Method) -> Result<Response, ApiError> {
        match method {
            Method::Get => self.0.get(PATH).send().await,
            Method::Post => self.0.post(PATH).body(BODY).send().await,
        }
    }
}

fn variant(error: &ApiError) -> &'static str {
    match error {
        ApiError::InvalidRequest(_) => "InvalidRequest",
        ApiError::Unauthenticated(_) => "Unauthenticated",
        ApiError::Forbidden(_) => "Forbidden",
        ApiError::NotFound(_) => "NotFound",
        ApiError::Conflict(_) => "Conflict",
        ApiError::RateLimited(_) => "RateLimited",
        ApiError::Unavailable(_) => "Unavailable",
        ApiError::Unrecognized(_) => "Unrecognized",
        ApiError::Transport(_) => "Transport",
        ApiError::Timeout(_) => "Timeout",
        ApiError::Decode(_) => "Decode",
        ApiError::Build(_) => "Build",
        _ => "another",
    }
}

//! A service in memory: [`MockService`].

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use secrecy::SecretString;

use super::script::Script;
use super::shared::{Mock, Shared};
use crate::client::{Client, ClientBuilder};
use crate::service::{Credential, Service};
use crate::transport::{HttpRequest, SendFuture, Transport};

/// A mock of the service `S` in memory, as a [`Transport`]. Nothing touches the network, so calls can run on tokio's
/// paused clock.
///
/// The functions of [`Script`], to which the mock dereferences, set its responses. Clones are handles to the same mock.
/// When the last handle is dropped, the script is [verified](Script::verify). Clients of the mock are not handles, so a
/// client that lives on in another task does not delay the verification.
pub struct MockService<S: Service> {
    script: Arc<Script<S>>,
}

impl<S: Service> MockService<S> {
    /// Creates a mock that expects no request yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default mock would fail every request")]
    pub fn new() -> Self {
        Self { script: Arc::new(Script::new(Mock::Service)) }
    }

    /// Returns a client of the mock with default settings.
    ///
    /// # Panics
    ///
    /// Panics as [`builder`](Self::builder) does.
    #[must_use]
    #[track_caller]
    pub fn client(&self) -> Client<S> {
        built(self.builder())
    }

    /// Returns a builder of clients of the mock, with the service's base URL and a made-up key.
    ///
    /// # Panics
    ///
    /// Panics if the service's key type rejects the made-up key. Use [`builder_with`](Self::builder_with) instead.
    #[track_caller]
    pub fn builder(&self) -> ClientBuilder<S> {
        self.builder_with(key::<S>())
    }

    /// Returns a builder of clients of the mock with this key.
    pub fn builder_with(&self, key: S::Key) -> ClientBuilder<S> {
        Client::builder(key).transport(InMemory(Arc::clone(self.script.shared())))
    }
}

impl<S: Service> Transport for MockService<S> {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        Box::pin(self.script.shared().respond(request))
    }
}

impl<S: Service> Deref for MockService<S> {
    type Target = Script<S>;

    fn deref(&self) -> &Script<S> {
        &self.script
    }
}

impl<S: Service> Clone for MockService<S> {
    fn clone(&self) -> Self {
        Self { script: Arc::clone(&self.script) }
    }
}

impl<S: Service> fmt::Debug for MockService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.script.fmt(f)
    }
}

/// The transport of the mock's clients, which does not delay the verification.
struct InMemory<S: Service>(Arc<Shared<S>>);

impl<S: Service> Transport for InMemory<S> {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        Box::pin(self.0.respond(request))
    }
}

/// Returns a made-up key, in a form that all three services accept.
#[track_caller]
#[expect(clippy::panic, reason = "a test kit fails the test")]
pub(super) fn key<S: Service>() -> S::Key {
    S::Key::parse(SecretString::from("mock-key:not-a-secret"))
        .unwrap_or_else(|error| panic!("{} rejects the made-up key: {error}; pass a key to `builder_with`", S::NAME))
}

#[track_caller]
#[expect(clippy::panic, reason = "a test kit fails the test")]
pub(super) fn built<S: Service>(builder: ClientBuilder<S>) -> Client<S> {
    builder.build().unwrap_or_else(|error| panic!("the client of the mock cannot be built: {error}"))
}

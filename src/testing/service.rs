//! A service in memory: [`MockService`].

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use secrecy::SecretString;

use super::script::{Script, Shared};
use crate::client::{Client, ClientBuilder};
use crate::service::{Credential, Service};
use crate::transport::{HttpRequest, SendFuture, Transport};

/// A stand-in for the service `S` in memory, as a [`Transport`]. Nothing touches the network, so calls can run on tokio's
/// paused clock.
///
/// Clones are handles to the same stand-in; when the last is dropped, the script is [verified](Script::verify). The clients
/// that it makes are no handles, so one that lives on in another task does not put that off. What it is to answer is said with the functions of [`Script`], to which it dereferences.
pub struct MockService<S: Service> {
    script: Arc<Script<S>>,
}

impl<S: Service> MockService<S> {
    /// A stand-in that expects no request yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default stand-in would fail every request")]
    pub fn new() -> Self {
        Self { script: Arc::new(Script::new("MockService")) }
    }

    /// A client of the stand-in, with every setting at its default.
    ///
    /// # Panics
    ///
    /// As [`builder`](Self::builder).
    #[must_use]
    #[track_caller]
    pub fn client(&self) -> Client<S> {
        built(self.builder())
    }

    /// Begins a client of the stand-in. It has the service's own base URL and a made-up key.
    ///
    /// # Panics
    ///
    /// If the service's key type refuses the made-up key. Use [`builder_with`](Self::builder_with) then.
    #[track_caller]
    pub fn builder(&self) -> ClientBuilder<S> {
        self.builder_with(key::<S>())
    }

    /// Begins a client of the stand-in with this key.
    pub fn builder_with(&self, key: S::Key) -> ClientBuilder<S> {
        Client::builder(key).transport(InMemory(Arc::clone(self.script.shared())))
    }
}

impl<S: Service> Transport for MockService<S> {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        Box::pin(self.script.shared().answer(request))
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

/// The stand-in as its clients hold it: a client that is still around does not put the verification off.
struct InMemory<S: Service>(Arc<Shared<S>>);

impl<S: Service> Transport for InMemory<S> {
    fn send(&self, request: HttpRequest) -> SendFuture<'_> {
        Box::pin(self.0.answer(request))
    }
}

/// A made-up key, in a form that all three services take.
#[track_caller]
#[expect(clippy::panic, reason = "a test kit fails the test")]
pub(super) fn key<S: Service>() -> S::Key {
    S::Key::parse(SecretString::from("mock-key:not-a-secret"))
        .unwrap_or_else(|error| panic!("{} takes no made-up key, so give one to `builder_with`: {error}", S::NAME))
}

#[track_caller]
#[expect(clippy::panic, reason = "a test kit fails the test")]
pub(super) fn built<S: Service>(builder: ClientBuilder<S>) -> Client<S> {
    builder.build().unwrap_or_else(|error| panic!("the client of the stand-in could not be made: {error}"))
}

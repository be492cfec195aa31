//! The transport that a client uses: [`Carrier`].

use super::Transport;
use super::reqwest::Reqwest;

/// The transport that a client uses. The default is known at compile time and needs no boxed future for each request.
pub(crate) enum Carrier {
    Reqwest(Reqwest),
    Given(Box<dyn Transport>),
}

//! The transport of a client: [`Carrier`].

use super::Transport;
use super::reqwest::Reqwest;

/// The transport of a client. The default is known when the crate is compiled and needs no box for each request.
pub(crate) enum Carrier {
    Reqwest(Reqwest),
    Given(Box<dyn Transport>),
}

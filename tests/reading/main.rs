//! From requests to bytes, and from bytes to errors, retry hints and decisions.

mod catalogue;
mod chains;
mod deciding;
mod fuzzing;
mod interop;
mod kept;
mod reading;
mod requests;
mod retry_after;
mod routes;
mod vectors;
mod vendor_docs;

#[path = "../support/mod.rs"]
mod support;

//! Whole calls: retries, the retry quota, cancellation, load, events and spans.

mod budget;
mod cancellation;
mod conditional;
mod flapping;
mod invariants;
mod load;
mod observation;
mod retries;
mod sending_twice;
mod spans;
mod success_errors;
mod wrapping;

#[path = "../support/mod.rs"]
mod support;

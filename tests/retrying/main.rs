//! Whole calls: retries, the retry quota, cancellation, load, events and spans.

mod budget;
mod cancellation;
mod closing;
mod conditional;
mod flapping;
mod load;
mod logs;
mod observation;
mod retries;
mod retryable;
mod sending_twice;
mod settling;
mod spans;
mod success_errors;
mod wrapping;

#[path = "../support/mod.rs"]
mod support;

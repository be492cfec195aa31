//! The tests that need more dependencies than the others: properties that hold for every response, policy and list
//! that proptest generates, and reqwest's cookies.
#![cfg(test)]

mod calls;
mod cookies;
mod inputs;
mod lists;
mod settling;

#[path = "../support/mock.rs"]
#[allow(dead_code, reason = "the other test programs use the rest")]
mod mock;

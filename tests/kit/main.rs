//! The mock services, and the example in the README.

mod mocks;
mod readme;

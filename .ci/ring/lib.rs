//! Only the test of this package matters: `cargo test --package steadfast-ring`.

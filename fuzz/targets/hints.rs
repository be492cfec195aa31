//! Every form of a retry hint is read, and no wait is longer than requested.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| steadfast_fuzz::hints(input));

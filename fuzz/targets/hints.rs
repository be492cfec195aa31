//! Every form of a wait is read, and none is unbounded.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| steadfast_fuzz::hints(input));

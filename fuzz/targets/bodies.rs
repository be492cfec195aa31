//! Error responses are read without loss and without a panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| steadfast_fuzz::bodies(input));

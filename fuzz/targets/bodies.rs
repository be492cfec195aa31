//! What a service answers as an error is read without loss and without panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| steadfast_fuzz::bodies(input));

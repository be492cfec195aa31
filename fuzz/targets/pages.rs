//! A list of arbitrary pages ends, and contains the items received.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| steadfast_fuzz::pages(input));

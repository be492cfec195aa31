//! No base URL exposes the key, and no path, segment or query leaves the base URL.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| steadfast_fuzz::addresses(input));

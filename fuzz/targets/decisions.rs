//! The decision of a policy keeps its bounds and sends nothing twice that may have acted.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| steadfast_fuzz::decisions(input));

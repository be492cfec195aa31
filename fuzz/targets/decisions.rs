//! Retry decisions stay within the bounds of the policy, and no request is resent that could take effect twice.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| steadfast_fuzz::decisions(input));

//! No notice of another process breaks a client, or holds its calls back for more than an hour.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| steadfast_fuzz::notice(input));

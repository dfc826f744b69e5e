//! libFuzzer's way in; the target itself is `havipd_fuzz::import`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| havipd_fuzz::import::run(data));

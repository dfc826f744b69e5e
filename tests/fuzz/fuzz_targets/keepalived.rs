//! libFuzzer's way in; the target itself is `havipd_fuzz::keepalived`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| havipd_fuzz::keepalived::run(data));

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| otpless_fuzz::targets::discovery::run(data));

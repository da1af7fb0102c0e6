#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| allium_engine::fuzz::check("hop", bytes));

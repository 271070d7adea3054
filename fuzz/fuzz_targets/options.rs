//! Options: every JSON value is a configuration within its limits, or an error that names what was
//! wrong, in a message of bounded length.

#![no_main]

use cluster2_rs::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(options) = serde_json::from_str(text) else { return };
    match Config::from_json(&options) {
        Ok(config) => {
            assert!((1..=1024).contains(&config.no_workers));
            assert!(!config.ports.is_empty());
        }
        Err(error) => {
            assert!(error.code().starts_with("CLUSTER2_ERR_"));
            assert!(error.to_string().starts_with("option '"), "{error}");
            assert!(error.to_string().len() < 2000 + text.len(), "{error}");
        }
    }
});

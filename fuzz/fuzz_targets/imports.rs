//! Files of PM2, as Node prints them: every app is kept under a name that an app can have, or the
//! error says what is wrong; and the result is JSON that is read back.

#![no_main]

#[path = "../../src/bin/cluster2/app_name.rs"]
mod app_name;
#[path = "../../src/bin/cluster2/pm2.rs"]
mod pm2;
#[path = "../../src/bin/cluster2/unique_keys.rs"]
mod unique_keys;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: (Vec<&str>, &str)| {
    let (beside, text) = input;
    let Ok(apps) = serde_json::from_str::<Vec<Value>>(text) else { return };
    let beside: Vec<String> = beside.into_iter().map(str::to_owned).collect();
    match pm2::translate(&apps, &beside) {
        Ok(pm2::Translated { config, notes }) => {
            assert!(notes.len() >= beside.len());
            if let Some(named) = config.get("apps") {
                let named = named.as_object().unwrap();
                assert_eq!(named.len(), apps.len());
                assert!(named.keys().all(|name| app_name::is_valid(name)), "{config}");
                assert!(named.values().all(|app| app["exec"].is_string()), "{config}");
            } else {
                assert_eq!(apps.len(), 1);
                assert!(config["exec"].is_string(), "{config}");
            }
            assert_eq!(unique_keys::parse(&format!("{config:#}")).unwrap(), config);
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
});

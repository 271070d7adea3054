//! Configuration files of several apps: a file is read as any JSON is, unless a key is there twice;
//! and the name of an app is that of a directory right below `pids`.

#![no_main]

#[path = "../../src/bin/cluster2/app_name.rs"]
mod app_name;
#[path = "../../src/bin/cluster2/unique_keys.rs"]
mod unique_keys;

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &str| {
    verify_name(text);
    let plain = serde_json::from_str::<Value>(text).ok();
    match unique_keys::parse(text) {
        Ok(options) => {
            assert_eq!(plain.as_ref(), Some(&options));
            let apps = options.get("apps").and_then(Value::as_object);
            apps.into_iter().flat_map(|apps| apps.keys()).for_each(|name| verify_name(name));
        }
        Err(error) => assert!(plain.is_none() || error.to_string().contains("twice"), "{error}"),
    }
});

fn verify_name(name: &str) {
    if app_name::is_valid(name) {
        let path = Path::new("pids").join(name);
        let components: Vec<Component> = path.components().collect();
        assert_eq!(
            components,
            [Component::Normal("pids".as_ref()), Component::Normal(name.as_ref())]
        );
        assert!(!path.as_os_str().as_encoded_bytes().contains(&0));
    }
}

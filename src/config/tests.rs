//! Options as users give them.

use serde_json::{Value, json};

use super::*;

fn error(options: Value) -> String {
    Config::from_json(&options).expect_err("must be refused").to_string()
}

#[test]
fn an_empty_object_gives_the_documented_defaults() {
    let config = Config::from_json(&json!({})).unwrap();
    assert_eq!(config.ports, [Port::Tcp(3000)]);
    assert_eq!(config.mon_port, Some(Port::Tcp(3001)));
    assert_eq!(config.mon_host, "127.0.0.1");
    assert_eq!(config.timeout, 30_000);
    assert_eq!(config.balance, Balance::LeastConnections);
    assert!(config.no_workers >= 1);
    assert_eq!(config.ecv.map(|ecv| ecv.path).as_deref(), Some("/ecv"));
}

#[test]
fn numbers_may_come_as_numeric_strings() {
    let config =
        Config::from_json(&json!({ "port": "8080", "noWorkers": "4", "timeout": " 5000 " }))
            .unwrap();
    assert_eq!(config.ports, [Port::Tcp(8080)]);
    assert_eq!(config.no_workers, 4);
    assert_eq!(config.timeout, 5000);
}

#[test]
fn times_and_sizes_may_have_a_unit_and_workers_may_be_as_many_as_processors() {
    let config = Config::from_json(&json!({
        "noWorkers": "max", "timeout": "90s", "uptimeThreshold": "12h", "memThreshold": "300M",
    }))
    .unwrap();
    let processors = Config::from_json(&json!({})).unwrap().no_workers;
    assert_eq!((config.no_workers, config.timeout), (processors, 90_000));
    assert_eq!(config.uptime_threshold, Some(12 * 3_600));
    assert_eq!(config.mem_threshold, Some(300 << 20));
    assert_eq!(
        error(json!({ "startTimeout": "soon" })),
        "option 'startTimeout' must be a whole number from 1 to 2147483647 (milliseconds), or a \
         time such as '90s'; got \"soon\""
    );
}

#[test]
fn a_number_of_workers_that_follows_their_work_is_one_at_least_and_has_bounds_in_order() {
    let bounds = |options: Value| {
        let config = Config::from_json(&options).unwrap();
        (config.no_workers, config.max_workers)
    };
    let processors = bounds(json!({})).0;
    assert_eq!(bounds(json!({ "maxWorkers": 8 })), (1, Some(8)));
    assert_eq!(bounds(json!({ "noWorkers": 3, "maxWorkers": "3" })), (3, Some(3)));
    assert_eq!(bounds(json!({ "maxWorkers": "max" })), (1, Some(processors)));
    assert_eq!(bounds(json!({ "noWorkers": 2, "maxWorkers": null })), (2, None));
    assert_eq!(
        error(json!({ "noWorkers": 4, "maxWorkers": 2 })),
        "option 'maxWorkers' must be no less than noWorkers, which is 4; got 2"
    );
    assert!(error(json!({ "maxWorkers": 0 })).contains("a whole number from 1 to 1024, or 'max'"));
}

#[test]
fn ports_may_be_paths_and_lists() {
    let config = Config::from_json(&json!({ "port": [3000, "/tmp/app.sock"] })).unwrap();
    assert_eq!(config.ports, [Port::Tcp(3000), Port::Unix("/tmp/app.sock".into())]);
    let config = Config::from_json(&json!({ "port": "\0app" })).unwrap();
    assert_eq!(config.ports, [Port::Unix("\0app".into())], "a name without a file");
}

#[test]
fn a_wrong_option_is_named_with_what_was_expected_and_what_came() {
    assert_eq!(
        error(json!({ "noWorkers": 0 })),
        "option 'noWorkers' must be a whole number from 1 to 1024, or 'max'; got 0"
    );
    assert_eq!(
        error(json!({ "noWorkers": { "$type": "a function" } })),
        "option 'noWorkers' must be a whole number from 1 to 1024, or 'max'; got a function"
    );
    assert_eq!(
        error(json!({ "port": 70000 })),
        "option 'port' must be a port (0 to 65535), the path of a unix socket, or a list of them; \
         got 70000"
    );
    assert_eq!(
        error(json!({ "name": "a\nb" })),
        r#"option 'name' must be a text in one line, not empty; got "a\nb""#
    );
    assert!(error(json!({ "port": [] })).starts_with("option 'port' must be"));
    assert!(error(json!({ "port": "a\0b" })).starts_with("option 'port' must be"));
    assert!(error(json!({ "monPort": "\0app" })).starts_with("option 'monPort' must be"));
    assert!(error(json!({ "port": [1, 1] })).contains("without repetition"));
    assert!(error(json!({ "ecv": 5 })).starts_with("option 'ecv' must be an object, or false"));
    assert!(
        error(json!({ "ecv": { "path": "ecv" } }))
            .starts_with("option 'ecv.path' must be a path that begins with '/'")
    );
    assert!(
        error(json!({ "ecv": { "monitor": "health" } }))
            .contains("a path that begins with '/', or an http")
    );
    for itself in ["/ecv?x", "/ecv/", "/ecv#x"] {
        assert!(
            error(json!({ "ecv": { "monitor": itself } })).contains("the check would ask itself")
        );
    }
    assert!(error(json!({ "ecv": { "monitor": "http://a:b@c/" } })).contains("without a user"));
    assert!(error(json!({ "ecv": { "allow": [] } })).contains("at least one"));
    assert!(error(json!({ "ecv": { "token": "secret " } })).contains("without blanks around it"));
    assert!(
        error(json!({ "ecv": { "allow": ["10.0.0.0/33"] } }))
            .contains("a list of addresses and CIDRs")
    );
    assert!(
        error(json!({ "balance": "random" }))
            .contains("'least-connections', 'round-robin', 'ip-hash', 'kernel'")
    );
    assert!(
        error(json!({ "nWorkers": 3 }))
            .starts_with("option 'nWorkers' is unknown; the options are: args, balance")
    );
    assert!(error(json!([])).starts_with("option 'options' must be an object"));
}

#[test]
fn overload_is_off_unless_one_of_its_limits_is_given() {
    let overload = |options| Config::from_json(&json!({ "overload": options })).unwrap().overload;
    assert_eq!([overload(json!(null)), overload(json!(false))], [None, None]);
    assert_eq!(Config::from_json(&json!({})).unwrap().overload, None);
    let limits = |waiting, delay| Some(OverloadOptions { waiting, delay });
    assert_eq!(overload(json!({ "waiting": 1 })), limits(Some(1), None));
    assert_eq!(overload(json!({ "waiting": "64", "delay": "1s" })), limits(Some(64), Some(1_000)));
    for nothing in [json!({}), json!(true), json!(5)] {
        assert!(
            error(json!({ "overload": nothing }))
                .starts_with("option 'overload' must be an object with 'waiting', 'delay' or both")
        );
    }
    assert!(error(json!({ "overload": { "delay": 19 } })).contains("'overload.delay' must be"));
    assert!(error(json!({ "overload": { "waiting": 0 } })).contains("'overload.waiting' must be"));
    assert_eq!(
        error(json!({ "overload": { "delay": 100 }, "balance": "ip-hash" })),
        "option 'overload' must be left out unless 'balance' is 'least-connections'; got it with \
         another 'balance'"
    );
}

#[test]
fn a_long_wrong_value_is_shortened_in_the_message() {
    assert!(error(json!({ "cluster": "x".repeat(5000) })).len() < 200);
}

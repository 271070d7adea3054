//! The pages over real sockets.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::AsyncWriteExt;

use super::router::Settings;
use super::tests::{Monitor, NoFilter, on_a_runtime, read_until, settings, slot};
use crate::protocol::status::{
    EventRecord, LastExit, Level, ReloadProgress, SlotStatus, UpgradeStatus,
};
use crate::protocol::time::Time;

#[test]
fn the_first_page_shows_the_cluster_and_escapes_what_it_says() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let below = Settings { path: "/mon/".into(), ..settings(directory.path()) };
        let monitor = Monitor::with(below, Arc::new(NoFilter)).await;
        for path in ["/mon", "/mon/"] {
            let page = monitor.get(path).await;
            assert!(page.starts_with("HTTP/1.1 200") && page.contains("vary: Accept"), "{page}");
            for part in [
                "&#60;host&#62; &#38; &#34;more&#34;",
                "<h1 id=\"name\">&#60;shop&#62;</h1>",
                "<span>0.0.0.0:3000</span>",
                "<title>&#60;shop&#62;: Overview",
                "1 of 2 workers are ready",
                "<dt>Exits: crash</dt><dd class=\"bad\">1</dd>",
                "Worker 4001 is unhealthy: status &#60;500&#62;",
                "<span class=\"state draining\">draining</span>",
                "href=\"/mon/style.css\"",
                "data-source=\"/mon/live\"",
                "<dt>Exits: recycle</dt><dd>2</dd>",
            ] {
                assert!(page.contains(part), "{part} in {page}");
            }
            assert!(!page.contains("<host>") && !page.contains(" style="), "{page}");
        }
        let json = monitor.ask("GET", "/mon", "accept: application/json\r\n").await;
        assert!(
            json.contains("content-type: application/json") && json.contains("\"target\": 2"),
            "{json}"
        );
    });
}

#[test]
fn a_cluster_without_a_ready_worker_says_so_first_and_why() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let monitor = Monitor::new(directory.path()).await;
        let exit = LastExit {
            at: Time(SystemTime::now()),
            pid: 4000,
            code: Some(1),
            signal: None,
            reason: "crash",
            error: Some("Error: <no> database".into()),
            lines: vec!["connecting".into()],
        };
        let waits = SlotStatus {
            pid: None,
            next_start: Some(Time(SystemTime::now() + Duration::from_secs(30))),
            crashes: 7,
            last_exit: Some(exit),
            ..slot(0, "waiting")
        };
        let event = EventRecord {
            seq: 1,
            time: Time::from_millis(1_337_359_772_000),
            kind: "exit",
            level: Level::Error,
            slot: Some(0),
            pid: Some(4000),
            message: "worker 4000 is <gone>".into(),
        };
        {
            let mut status = monitor.cluster.status.lock().unwrap();
            let status = status.as_mut().unwrap();
            status.workers.clear();
            status.slots = vec![waits];
            status.events = vec![event];
            status.ecv.unavailable = Some("no worker is ready".into());
            status.master.upgrade = Some(UpgradeStatus {
                pid: 77,
                state: "starting",
                ready: 1,
                target: 4,
                draining: 0,
                warning: None,
            });
            status.master.reload = Some(ReloadProgress { replaced: 1, total: 4, again: true });
        }
        let page = monitor.get("/").await;
        for part in [
            "<li class=\"mark verdict bad\">No worker is ready</li>",
            "<progress max=\"4\" value=\"1\"",
            "1 of 4 new, once more after that",
            "<b>Upgrade</b> master 77 starts, 1 of 4 workers ready",
            "Slot 0 waits: its next worker starts in 29\u{a0}s. 7 crashes so far; worker 4000 ended",
            "(crash, exit code 1): Error: &#60;no&#62; database<pre>connecting\n</pre>",
            "<span class=\"state waiting\">waiting 29\u{a0}s</span>",
            "class=\"n bad\" data-name=\"Crashes\">7</td>",
            "<li class=\"error\"><time datetime=\"2012-05-18T16:49:32.000Z\">2012-05-18 16:49:32</time>",
            "worker 4000 is &#60;gone&#62;",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    });
}

#[test]
fn a_log_has_a_page_of_its_own_that_follows_it() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("logs")).unwrap();
        std::fs::write(directory.path().join("logs/a b<c>.log"), "one\n").unwrap();
        std::fs::write(directory.path().join("logs/old.gz"), "zipped").unwrap();
        let monitor = Monitor::new(directory.path()).await;
        let page = monitor.get("/logs/a%20b%3Cc%3E.log?view=1").await;
        assert!(page.starts_with("HTTP/1.1 200") && page.contains("text/html"), "{page}");
        for part in [
            "<h1 id=\"log-name\">a b&#60;c&#62;.log</h1>",
            "data-source=\"/logs/a%20b%3Cc%3E.log?tail=200&amp;follow=1\"",
            "<nav aria-label=\"Pages\">",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(monitor.get("/logs").await.contains("a%20b%3Cc%3E.log?view=1"));
        for none in ["none.log", "old.gz", "..%2Fsecret"] {
            let answer = monitor.get(&format!("/logs/{none}?view=1")).await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{none}: {answer}");
        }
    });
}

#[test]
fn an_app_without_a_package_is_no_problem() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let monitor = Monitor::new(directory.path()).await;
        let page = monitor.get("/deps").await;
        assert!(page.contains("There is no package.json in "), "{page}");
        assert_eq!(page.matches("package.json").count(), 1, "{page}");
        assert!(!page.contains("class=\"notes\"") && !page.contains("There are none"), "{page}");
    });
}

#[test]
fn a_change_of_the_cluster_reaches_open_pages() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let monitor = Monitor::new(directory.path()).await;
        let mut stream = monitor.connect().await;
        stream.write_all(b"GET /live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let begin = read_until(&mut stream, "4001").await;
        assert!(
            begin.contains("content-type: text/event-stream") && begin.contains("data: "),
            "{begin}"
        );
        monitor.cluster.status.lock().unwrap().as_mut().unwrap().workers[1].pid = 77_777;
        read_until(&mut stream, "77777").await;
        *monitor.cluster.status.lock().unwrap() = None;
        read_until(&mut stream, "0\r\n\r\n").await;
        assert!(monitor.get("/").await.starts_with("HTTP/1.1 503"));
    });
}

#[test]
fn every_response_is_protected_and_head_has_no_body() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let monitor = Monitor::new(directory.path()).await;
        let paths = [
            "/",
            "/status.json",
            "/live",
            "/logs",
            "/deps",
            "/deps.json",
            "/metrics",
            "/style.css",
            "/script.js",
            "/log.js",
            "/icon.svg",
        ];
        for path in paths.into_iter().chain(["/none", "/logs/none"]) {
            let head = monitor.ask("HEAD", path, "").await;
            assert!(
                head.starts_with(if path.ends_with("none") {
                    "HTTP/1.1 404"
                } else {
                    "HTTP/1.1 200"
                }),
                "{path}: {head}"
            );
            assert!(
                head.ends_with("\r\n\r\n") && head.matches("\r\n\r\n").count() == 1,
                "{path}: {head}"
            );
            for header in [
                "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self'",
                "x-content-type-options: nosniff",
                "x-frame-options: DENY",
                "referrer-policy: no-referrer",
                "cross-origin-resource-policy: same-origin",
                "cache-control: no-",
            ] {
                assert!(head.contains(header), "{header} at {path}: {head}");
            }
        }
        let problem = monitor.ask("PUT", "/none", "accept: application/json\r\n").await;
        assert!(
            problem.starts_with("HTTP/1.1 405") && problem.contains("allow: GET, HEAD"),
            "{problem}"
        );
        assert!(problem.contains("\"message\""), "{problem}");
        assert!(monitor.get("/none").await.contains("<h1 id=\"problem\">Not Found</h1>"));
    });
}

#[test]
fn an_asset_is_sent_once() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let monitor = Monitor::new(directory.path()).await;
        let style = monitor.get("/style.css").await;
        let tag = style.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag");
        let again = monitor
            .ask("GET", "/style.css", &format!("if-none-match: W/{tag}, \"other\"\r\n"))
            .await;
        assert!(again.starts_with("HTTP/1.1 304") && again.ends_with("\r\n\r\n"), "{again}");
    });
}

#[test]
fn dependencies_and_metrics_are_pages_of_their_own() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let manifest =
            r#"{ "name": "<app>", "version": "1.0.0", "dependencies": { "gone": "^1" } }"#;
        std::fs::write(directory.path().join("package.json"), manifest).unwrap();
        let monitor = Monitor::new(directory.path()).await;
        let page = monitor.get("/deps").await;
        assert!(page.contains("&#60;app&#62;") && page.contains(">missing</span>"), "{page}");
        let json = monitor.ask("GET", "/deps", "accept: application/json\r\n").await;
        assert!(
            json.contains("\"required\": \"^1\"") && json.contains("\"missing\": true"),
            "{json}"
        );
        let text = monitor.get("/metrics").await;
        assert!(
            text.contains("content-type: text/plain; version=0.0.4") && !text.contains("# EOF"),
            "{text}"
        );
        let open = monitor.ask("GET", "/metrics", "accept: application/openmetrics-text\r\n").await;
        assert!(
            open.contains("content-type: application/openmetrics-text")
                && open.ends_with("# EOF\n"),
            "{open}"
        );
    });
}

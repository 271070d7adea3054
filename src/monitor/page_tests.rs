//! The pages over real sockets.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;

use super::router::Settings;
use super::tests::{Monitor, NoFilter, on_a_runtime, read_until, settings};

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
                "Worker 4001 is unhealthy: status &#60;500&#62;",
                "<span class=\"state draining\">draining</span>",
                "href=\"/mon/style.css\"",
                "data-source=\"/mon/live\"",
                "Deaths: recycle",
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

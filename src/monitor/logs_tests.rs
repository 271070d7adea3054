//! Log files over real sockets: their content is sent, and nothing else.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::tests::{Monitor, on_a_runtime, read_until};

/// A monitor with logs.
struct Logs {
    directory: tempfile::TempDir,
    monitor: Monitor,
}

impl Logs {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let monitor = Monitor::new(directory.path()).await;
        std::fs::write(directory.path().join("secret"), "precious").unwrap();
        std::fs::create_dir_all(directory.path().join("logs/old")).unwrap();
        let logs = Self { directory, monitor };
        logs.write("app.log", "one\ntwo\nthree\n");
        logs.write("old/app.log.gz", "zipped");
        logs.write("a b&<i>?.log", "odd");
        logs
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("logs").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn append(&self, name: &str, text: &str) {
        OpenOptions::new()
            .append(true)
            .open(self.path(name))
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }

    /// Follows a file on a connection of its own.
    async fn follow(&self, target: &str) -> TcpStream {
        let mut stream = self.monitor.connect().await;
        stream
            .write_all(format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
            .await
            .unwrap();
        stream
    }
}

#[test]
fn the_list_is_a_page_and_json() {
    on_a_runtime(async {
        let logs = Logs::new().await;
        let page = logs.monitor.get("/logs").await;
        assert!(
            page.contains("/logs/a%20b%26%3Ci%3E%3F.log?view=1\">a b&#38;&#60;i&#62;?.log</a>"),
            "{page}"
        );
        assert!(page.contains("cache-control: no-store"), "{page}");
        let json = logs.monitor.ask("GET", "/logs", "accept: application/json\r\n").await;
        assert!(
            json.contains("\"name\": \"old/app.log.gz\"") && json.contains("\"size\": 6"),
            "{json}"
        );
        std::fs::remove_dir_all(logs.path("")).unwrap();
        let json = logs.monitor.ask("GET", "/logs", "accept: application/json\r\n").await;
        assert!(json.starts_with("HTTP/1.1 200") && json.ends_with("\r\n\r\n[]\n"), "{json}");
    });
}

#[test]
fn a_file_is_sent_as_what_it_is() {
    on_a_runtime(async {
        let logs = Logs::new().await;
        let text = logs.monitor.get("/logs/app.log").await;
        assert!(text.contains("content-type: text/plain; charset=utf-8\r\n"), "{text}");
        assert!(
            text.contains("content-length: 14\r\n") && text.contains("accept-ranges: bytes"),
            "{text}"
        );
        assert!(text.ends_with("\r\n\r\none\ntwo\nthree\n"), "{text}");
        let zipped = logs.monitor.get("/logs/old/app.log.gz").await;
        assert!(
            zipped.contains("application/octet-stream") && zipped.contains("attachment"),
            "{zipped}"
        );
        assert!(logs.monitor.get("/logs/a%20b%26%3ci%3e%3f.log").await.ends_with("odd"));
        let head = logs.monitor.ask("HEAD", "/logs/app.log", "").await;
        assert!(head.contains("content-length: 14\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    });
}

#[test]
fn no_file_outside_can_be_reached() {
    on_a_runtime(async {
        let logs = Logs::new().await;
        std::os::unix::fs::symlink("../secret", logs.path("link")).unwrap();
        std::os::unix::fs::symlink("..", logs.path("up")).unwrap();
        let secret = format!("/logs/{}/secret", logs.directory.path().display());
        let attacks = [
            "/logs/../secret",
            "/logs/%2e%2e/secret",
            "/logs/..%2fsecret",
            "/logs/%2E%2E%2Fsecret",
            "/logs/old/../../secret",
            "/logs//etc/passwd",
            "/logs/%2fetc%2fpasswd",
            "/logs/link",
            "/logs/up/secret",
            "/logs/old",
            "/logs/.",
            "/logs/..",
            "/logs/app.log%00",
            "/logs/app.log%00.gz",
            "/logs/%",
            "/logs/app.log/",
            "/logs/..\\secret",
            "/logs/%252e%252e/secret",
            "/secret",
            "/logs../secret",
            &secret,
        ];
        for attack in attacks {
            let answer = logs.monitor.get(attack).await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{attack}: {answer}");
            assert!(!answer.contains("precious"), "{attack}");
        }
    });
}

#[test]
fn a_range_is_a_part() {
    on_a_runtime(async {
        let logs = Logs::new().await;
        let cases = [
            ("bytes=4-6", "206", "content-range: bytes 4-6/14", "\r\n\r\ntwo"),
            ("bytes=8-", "206", "content-range: bytes 8-13/14", "\r\n\r\nthree\n"),
            ("bytes=-6", "206", "content-range: bytes 8-13/14", "\r\n\r\nthree\n"),
            ("bytes=0-999", "206", "content-range: bytes 0-13/14", "three\n"),
            ("bytes=14-", "416", "content-range: bytes */14", ""),
            ("bytes=-0", "416", "content-range: bytes */14", ""),
            ("bytes=0-1,4-5", "200", "content-length: 14", "three\n"),
            ("bytes=6-4", "200", "content-length: 14", "three\n"),
            ("lines=1-2", "200", "content-length: 14", "three\n"),
            ("bytes=4-6\r\nif-range: \"x\"", "200", "content-length: 14", "three\n"),
        ];
        for (range, status, header, end) in cases {
            let answer =
                logs.monitor.ask("GET", "/logs/app.log", &format!("range: {range}\r\n")).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{range}: {answer}");
            assert!(answer.contains(header) && answer.ends_with(end), "{range}: {answer}");
        }
    });
}

#[test]
fn the_last_lines_can_be_asked_for() {
    on_a_runtime(async {
        let logs = Logs::new().await;
        let tail = logs.monitor.get("/logs/app.log?tail=2").await;
        assert!(
            tail.contains("content-length: 10\r\n") && tail.ends_with("\r\n\r\ntwo\nthree\n"),
            "{tail}"
        );
        assert!(logs.monitor.get("/logs/app.log?tail=-2").await.starts_with("HTTP/1.1 400"));
        assert!(logs.monitor.get("/logs/app.log?follow=maybe").await.starts_with("HTTP/1.1 400"));
    });
}

#[test]
fn a_file_is_followed_through_truncation_and_replacement() {
    on_a_runtime(async {
        let logs = Logs::new().await;
        let mut stream = logs.follow("/logs/app.log?tail=1&follow=1").await;
        let begin = read_until(&mut stream, "three\n").await;
        assert!(!begin.contains("two"), "{begin}");
        logs.append("app.log", "four\n");
        read_until(&mut stream, "four\n").await;
        logs.write("app.log", "cut\n");
        read_until(&mut stream, "cut\n").await;
        logs.append("app.log", "last of the old\n");
        std::fs::rename(logs.path("app.log"), logs.path("app.log.1")).unwrap();
        logs.write("app.log", "first of the new\n");
        let both = read_until(&mut stream, "first of the new\n").await;
        assert!(both.contains("last of the old\n"), "{both}");
        std::fs::remove_file(logs.path("app.log")).unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        logs.write("app.log", "again\n");
        read_until(&mut stream, "again\n").await;
    });
}

#[test]
fn the_number_of_followers_is_limited() {
    on_a_runtime(async {
        let logs = Logs::new().await;
        let mut streams = Vec::new();
        for _ in 0..32 {
            let mut stream = logs.follow("/logs/app.log?follow=1").await;
            read_until(&mut stream, "three\n").await;
            streams.push(stream);
        }
        assert!(logs.monitor.get("/live").await.starts_with("HTTP/1.1 503"));
        assert!(
            logs.monitor.get("/logs/app.log").await.starts_with("HTTP/1.1 200"),
            "it is not a stream"
        );
        // A client that has gone is noticed, although nothing is written to the file.
        streams.pop();
        let free = async {
            while logs.monitor.ask("HEAD", "/live", "").await.starts_with("HTTP/1.1 503") {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(super::tests::PATIENCE, free).await.expect("a permit");
    });
}

//! The monitor's limits, over real sockets.

use std::ops::ControlFlow;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use super::respond::{TEXT, whole};
use super::server::{Before, Remote, body};
use super::tests::{Monitor, on_a_runtime, settings};
use super::{Body, Settings};

#[test]
fn the_status_is_json() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let monitor = Monitor::new(directory.path()).await;
        let answer = monitor.get("/status.json").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("\"eventLoopDelay\": 1.5"), "{answer}");
        assert!(answer.contains("content-security-policy: default-src 'none'"), "{answer}");
        *monitor.cluster.status.lock().unwrap() = None;
        assert!(monitor.get("/status.json").await.starts_with("HTTP/1.1 503"));
    });
}

#[test]
fn other_methods_paths_and_hosts_are_refused() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let only = Settings { path: "/mon".into(), hosts: vec!["localhost".into()], ..settings(directory.path()) };
        let monitor = Monitor::with(only, Arc::new(())).await;
        let cases = [
            ("GET /mon HTTP/1.1\r\nhost: LOCALHOST:80\r\nconnection: close\r\n\r\n", "200"),
            ("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", "404"),
            ("POST /mon HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", "405"),
            ("GET /mon HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n", "421"),
            ("GET /mon HTTP/1.0\r\n\r\n", "421"),
            ("GET /mon HTTP/9.9\r\n\r\n", "400"),
        ];
        for (request, status) in cases {
            let answer = monitor.talk(request).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")) || answer.starts_with(&format!("HTTP/1.0 {status}")),
                "{request}: {answer}"
            );
        }
    });
}

/// Answers POST with the body's length.
struct Counts;

impl Before for Counts {
    async fn answer(
        &self,
        request: Request<Incoming>,
        remote: Remote,
    ) -> ControlFlow<Response<Body>, Request<Incoming>> {
        assert!(remote.is_some_and(|address| address.is_loopback()));
        if request.method() != hyper::Method::POST {
            return ControlFlow::Continue(request);
        }
        ControlFlow::Break(match body(request).await {
            Ok(body) => whole(StatusCode::OK, TEXT, format!("{} bytes", body.len())),
            Err(response) => response,
        })
    }
}

#[test]
fn who_stands_before_the_pages_answers_first() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let monitor = Monitor::with(settings(directory.path()), Arc::new(Counts)).await;
        let answer = monitor.talk("POST /x HTTP/1.1\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc").await;
        assert!(answer.ends_with("3 bytes"), "{answer}");
        assert!(monitor.get("/status.json").await.starts_with("HTTP/1.1 200"));
        let answer = monitor.talk("POST /x HTTP/1.1\r\ncontent-length: 65537\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        let chunked = format!(
            "POST /x HTTP/1.1\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n10001\r\n{}\r\n0\r\n\r\n",
            "a".repeat(65537)
        );
        let answer = monitor.talk(&chunked).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    });
}

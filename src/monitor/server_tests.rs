//! The monitor's limits, over real sockets.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::listener::{Acceptor, ClientIp};
use super::response::{Body, TEXT, whole};
use super::router::{Router, Settings};
use super::server::{Limits, RequestFilter, serve};
use super::tests::{Monitor, NoFilter, PATIENCE, on_a_runtime, read_until, settings};

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
        let only = Settings {
            path: "/mon".into(),
            hosts: vec!["localhost".into()],
            ..settings(directory.path())
        };
        let monitor = Monitor::with(only, Arc::new(NoFilter)).await;
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
                answer.starts_with(&format!("HTTP/1.1 {status}"))
                    || answer.starts_with(&format!("HTTP/1.0 {status}")),
                "{request}: {answer}"
            );
        }
    });
}

/// Answers POST with the body's length.
struct Counts;

impl RequestFilter for Counts {
    async fn filter(
        &self,
        request: Request<Incoming>,
        client: ClientIp,
    ) -> ControlFlow<Response<Body>, Request<Incoming>> {
        assert!(client.is_some_and(|address| address.is_loopback()));
        if request.method() != hyper::Method::POST {
            return ControlFlow::Continue(request);
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        ControlFlow::Break(whole(StatusCode::OK, TEXT, format!("{} bytes", body.len())))
    }
}

#[test]
fn the_filter_answers_before_the_pages() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let monitor = Monitor::with(settings(directory.path()), Arc::new(Counts)).await;
        let answer = monitor
            .talk("POST /x HTTP/1.1\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc")
            .await;
        assert!(answer.ends_with("3 bytes"), "{answer}");
        assert!(monitor.get("/status.json").await.starts_with("HTTP/1.1 200"));
        let answer = monitor
            .talk("POST /x HTTP/1.1\r\ncontent-length: 65537\r\nconnection: close\r\n\r\n")
            .await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    });
}

const SHORT: Duration = Duration::from_millis(300);

fn limits() -> Limits {
    Limits { connections: 2, head_within: SHORT, write_within: SHORT }
}

#[test]
fn a_head_that_is_too_large_or_too_slow_ends_the_connection() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let monitor =
            Monitor::within(limits(), settings(directory.path()), Arc::new(NoFilter)).await;
        let large = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(20_000));
        assert!(monitor.talk(&large).await.starts_with("HTTP/1.1 431"));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(65));
        assert!(monitor.talk(&many).await.starts_with("HTTP/1.1 431"));
        for slow in ["", "GET / HT", "GET /style.css HTTP/1.1\r\nhost: x\r\n\r\n"] {
            let begun = Instant::now();
            monitor.talk(slow).await;
            assert!(begun.elapsed() >= SHORT, "{slow:?} may take its time");
        }
    });
}

#[test]
fn a_connection_too_many_evicts_the_one_idle_for_longest() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let patient = Limits { head_within: PATIENCE, ..limits() };
        let monitor =
            Monitor::within(patient, settings(directory.path()), Arc::new(NoFilter)).await;
        let request = b"GET /style.css HTTP/1.1\r\nhost: x\r\n\r\n";
        let mut first = monitor.connect().await;
        let mut silent = monitor.connect().await;
        // It has asked since, and is idle for less long.
        first.write_all(request).await.unwrap();
        read_until(&mut first, "HTTP/1.1 200").await;
        let mut third = monitor.connect().await;
        third.write_all(request).await.unwrap();
        read_until(&mut third, "HTTP/1.1 200").await;
        assert_eq!(silent.read(&mut [0]).await.unwrap(), 0, "it is closed");
        first.write_all(request).await.unwrap();
        read_until(&mut first, "HTTP/1.1 200").await;
    });
}

#[test]
fn a_connection_too_many_waits_while_all_are_busy() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("logs")).unwrap();
        std::fs::write(directory.path().join("logs/quiet"), "begin").unwrap();
        let monitor =
            Monitor::within(limits(), settings(directory.path()), Arc::new(NoFilter)).await;
        let mut followers = Vec::new();
        for _ in 0..2 {
            let mut follower = monitor.connect().await;
            follower
                .write_all(b"GET /logs/quiet?follow=1 HTTP/1.1\r\nhost: x\r\n\r\n")
                .await
                .unwrap();
            read_until(&mut follower, "begin").await;
            followers.push(follower);
        }
        let mut third = monitor.connect().await;
        third.write_all(b"GET /style.css HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut byte = [0];
        let early = tokio::time::timeout(SHORT, third.read(&mut byte)).await;
        assert!(early.is_err(), "all are busy yet");
        followers.pop();
        read_until(&mut third, "HTTP/1.1 200").await;
    });
}

#[test]
fn a_client_that_does_not_read_is_cut_and_one_with_nothing_to_read_is_not() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("logs")).unwrap();
        std::fs::write(directory.path().join("logs/large"), vec![b'x'; 64 << 20]).unwrap();
        std::fs::write(directory.path().join("logs/quiet"), "begin").unwrap();
        let monitor =
            Monitor::within(limits(), settings(directory.path()), Arc::new(NoFilter)).await;
        let mut quiet = monitor.connect().await;
        quiet.write_all(b"GET /logs/quiet?follow=1 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        read_until(&mut quiet, "begin").await;
        let mut stuck = monitor.connect().await;
        stuck.write_all(b"GET /logs/large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(SHORT * 4).await;
        let mut read = Vec::new();
        // A reset is as good an end as any.
        let _ = tokio::time::timeout(PATIENCE, stuck.read_to_end(&mut read)).await.expect("an end");
        assert!(read.len() < 64 << 20);
        std::fs::write(directory.path().join("logs/quiet"), "begin and end").unwrap();
        read_until(&mut quiet, " and end").await;
    });
}

#[test]
fn a_unix_socket_is_served_too() {
    on_a_runtime(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let cluster = Monitor::new(directory.path()).await.cluster;
        let router = Router::new(settings(directory.path()), cluster);
        let serving = tokio::spawn(serve(Acceptor::Unix(listener), router, Arc::new(NoFilter)));
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        stream
            .write_all(b"HEAD /status.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"), "{answer}");
        serving.abort();
    });
}

//! A cluster for the monitor's tests, and clients that speak to it byte by byte.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::listener::{Acceptor, ClientIp};
use super::response::Body;
use super::router::{Router, Settings, StatusSource};
use super::server::{Limits, RequestFilter, serve_within};
use crate::error::{ClusterError, Result};
use crate::protocol::status::{
    ConnectionCounts, EcvStatus, MasterStatus, RequestCounts, SlotStatus, Status, UnhealthyWorker,
    WorkerStatus,
};
use crate::protocol::time::Time;
use crate::protocol::totals::Totals;

/// The deadline of everything that a test waits for.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A cluster whose state a test sets.
pub(super) struct Cluster {
    /// `None`: it has ended.
    pub(super) status: Mutex<Option<Status>>,
}

impl StatusSource for Cluster {
    async fn status(&self) -> Result<Status> {
        let status = self.status.lock().unwrap().clone();
        status.ok_or(ClusterError::WrongState { command: "show the cluster", state: "gone" })
    }
}

/// Leaves every request to the pages.
pub(super) struct NoFilter;

impl RequestFilter for NoFilter {
    async fn filter(
        &self,
        request: Request<Incoming>,
        _client: ClientIp,
    ) -> ControlFlow<Response<Body>, Request<Incoming>> {
        ControlFlow::Continue(request)
    }
}

/// A worker in `slot`.
pub(super) fn worker(slot: u32, state: &'static str) -> WorkerStatus {
    WorkerStatus {
        slot,
        pid: 4000 + slot,
        generation: 1,
        state,
        stuck_for: None,
        started_at: Time::from_millis(1_337_359_772_000),
        connections: ConnectionCounts { active: 3, total: 70, timed_out: 2 },
        requests: RequestCounts { active: 1, total: 500 },
        event_loop_delay: 1.5,
        event_loop_utilization: Some(0.25),
        rss: 64 << 20,
        cpu: 1234.0,
        cpu_percent: 12.5,
        restarts: 2,
        crashes: 1,
    }
}

/// Slot `number` of the worker in that state.
pub(super) fn slot(number: u32, state: &'static str) -> SlotStatus {
    SlotStatus {
        slot: number,
        state,
        pid: Some(4000 + number),
        next_start: None,
        restarts: 2,
        crashes: 1,
        last_exit: None,
    }
}

/// A cluster of two workers.
pub(super) fn status() -> Status {
    let started_at = Time::from_millis(1_337_359_770_000);
    Status {
        running: true,
        master: MasterStatus {
            pid: 3999,
            name: "<shop>".into(),
            script: Some("/srv/shop/server.js".into()),
            directory: "/srv/shop".into(),
            started_at,
            version: "0.1.0".into(),
            node: "v24.1.0".into(),
            hostname: "<host> & \"more\"".into(),
            os: "Linux 6.18 x86_64".into(),
            state: "running",
            target: 2,
            scaling: None,
            spares: 0,
            reload: None,
            upgrade: None,
            listening: vec!["0.0.0.0:3000".into()],
            monitor: None,
            rss: 80 << 20,
            cpu: 900.0,
            cpu_percent: 1.5,
        },
        workers: vec![worker(0, "ready"), worker(1, "draining")],
        ecv: EcvStatus {
            disabled: false,
            since: started_at,
            unavailable: None,
            unhealthy: vec![UnhealthyWorker { pid: 4001, reason: "status <500>".into() }],
        },
        overload: None,
        totals: Totals {
            connections: 140,
            timed_out: 4,
            requests: 1000,
            exits: [("crash", 1), ("recycle", 2)].into(),
            ..Totals::default()
        },
        slots: vec![slot(0, "ready"), slot(1, "draining")],
        events: Vec::new(),
    }
}

/// A monitor that serves on a port of its own until it is dropped.
pub(super) struct Monitor {
    pub(super) port: u16,
    pub(super) cluster: Arc<Cluster>,
    _serving: tokio::task::JoinSet<()>,
}

impl Monitor {
    /// At `/`, for any host, with the files of `directory`.
    pub(super) async fn new(directory: &Path) -> Self {
        Self::with(settings(directory), Arc::new(NoFilter)).await
    }

    pub(super) async fn with(settings: Settings, filter: Arc<impl RequestFilter>) -> Self {
        Self::within(Limits::default(), settings, filter).await
    }

    pub(super) async fn within(
        limits: Limits,
        settings: Settings,
        filter: Arc<impl RequestFilter>,
    ) -> Self {
        let cluster = Arc::new(Cluster { status: Mutex::new(Some(status())) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new(settings, cluster.clone());
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(serve_within(limits, Acceptor::Tcp(listener), router, filter));
        Self { port, cluster, _serving: serving }
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    /// Sends bytes and reads until the other end closes.
    pub(super) async fn talk(&self, bytes: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("an end")
            .unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The response to one request, head and body, with more headers, each ending with CRLF.
    pub(super) async fn ask(&self, method: &str, path: &str, headers: &str) -> String {
        self.talk(&format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n"
        ))
        .await
    }

    /// The response to GET.
    pub(super) async fn get(&self, path: &str) -> String {
        self.ask("GET", path, "").await
    }
}

/// Settings of a monitor at `/`, for any host.
pub(super) fn settings(directory: &Path) -> Settings {
    Settings {
        name: "<shop>".into(),
        path: "/".into(),
        hosts: Vec::new(),
        logs: directory.join("logs"),
        root: directory.into(),
    }
}

/// Runs a test on a runtime like the monitor's.
pub(super) fn on_a_runtime(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

/// Reads until `wanted` has arrived.
pub(super) async fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let mut seen = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&seen).contains(wanted) {
            let more = stream.read_buf(&mut seen).await.unwrap();
            assert_ne!(more, 0, "it ended before {wanted:?}: {}", String::from_utf8_lossy(&seen));
        }
    };
    let came = tokio::time::timeout(PATIENCE, reading).await;
    let seen = String::from_utf8_lossy(&seen).into_owned();
    assert!(came.is_ok(), "no {wanted:?} in {seen:?}");
    seen
}

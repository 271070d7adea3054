//! The check on the monitor's thread: one at a time, with the probe and the user's validator.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::health_check::HealthCheck;
use super::monitor_uri::MonitorUri;
use super::problem::Problem;
use super::validator::Validator;
use crate::config;
use crate::embedder::Embedder;
use crate::os::scoreboard::Header;
use crate::protocol::Endpoint;
use crate::single_flight::SingleFlight;

/// The health check on the monitor's thread.
pub struct HealthChecker {
    pub(super) check: HealthCheck,
    monitor_uri: MonitorUri,
    /// The option `validator`.
    validator: Option<Validator>,
    checks: SingleFlight<Problem>,
}

impl HealthChecker {
    /// `config` is the option `ecv`. `embedder` calls the validator, if there is one.
    pub(crate) fn new(
        config: &config::EcvOptions,
        header: Header,
        embedder: Weak<dyn Embedder>,
    ) -> Arc<Self> {
        let timeout = Duration::from_millis(config.timeout);
        Arc::new(Self {
            check: HealthCheck::new(config, header),
            monitor_uri: MonitorUri::new(config),
            validator: config.validator.then(|| Validator::new(embedder, timeout)),
            checks: SingleFlight::default(),
        })
    }

    /// Sets the server of the app on which a monitor that is a path is probed.
    pub(crate) fn set_app(&self, app: Endpoint) {
        self.monitor_uri.set_app(app);
    }

    /// Returns what the check under way finds, or a new one.
    pub(super) async fn problem(self: &Arc<Self>) -> Problem {
        let checker = Arc::clone(self);
        let found = self.checks.run(async move { checker.examine().await }).await;
        found.unwrap_or_else(|| Some("the check was given up".into()))
    }

    async fn examine(&self) -> Problem {
        match (self.monitor_uri.probe().await, &self.validator) {
            (Err(problem), _) => Some(problem),
            (Ok(answered), Some(validator)) => validator.validate(answered).await,
            (Ok(_), None) => None,
        }
    }

    /// Takes the validator's answer to `MasterEvent::Validate`.
    pub fn validated(&self, id: u32, problem: Problem) {
        if let Some(validator) = &self.validator {
            validator.answered(id, problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedder::MasterEvent;
    use crate::os::scoreboard::Scoreboard;
    use crate::protocol::EndpointAddress;
    use crate::quota::Share;
    use std::os::fd::OwnedFd;
    use std::sync::{Mutex, mpsc};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    struct Recorder(Mutex<mpsc::Sender<MasterEvent>>);

    impl Embedder for Recorder {
        fn emit(&self, event: MasterEvent) {
            self.0.lock().unwrap().send(event).unwrap();
        }

        fn message(
            &self,
            _pid: u32,
            _id: u32,
            _message: Box<serde_json::value::RawValue>,
            _share: Share,
        ) {
        }

        fn end_of_messages(&self, _pid: u32) {}

        fn forward(&self, _connection: OwnedFd) -> bool {
            false
        }
    }

    fn checker(
        ecv: serde_json::Value,
        app: EndpointAddress,
    ) -> (Arc<HealthChecker>, mpsc::Receiver<MasterEvent>, Arc<dyn Embedder>) {
        let mut config =
            config::Config::from_json(&serde_json::json!({ "ecv": ecv })).unwrap().ecv.unwrap();
        config.validator = true;
        let (sender, events) = mpsc::channel();
        let embedder: Arc<dyn Embedder> = Arc::new(Recorder(Mutex::new(sender)));
        let header = Scoreboard::create(1).unwrap().header();
        header.switch(false, 1_000);
        let checker = HealthChecker::new(&config, header, Arc::downgrade(&embedder));
        checker.set_app(Endpoint { at: app, secure: false });
        (checker, events, embedder)
    }

    fn on_a_runtime(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn a_hundred_checks_at_once_are_one_probe_and_one_question_to_the_validator() {
        on_a_runtime(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let app = listener.local_addr().unwrap().into();
            let (checker, events, _embedder) =
                checker(serde_json::json!({ "monitor": "/health" }), app);
            let mut checks = tokio::task::JoinSet::new();
            for _ in 0..100 {
                let checker = Arc::clone(&checker);
                checks.spawn(async move { checker.problem().await });
            }
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            let id = loop {
                match events.try_recv() {
                    Ok(MasterEvent::Validate { id, answered }) => {
                        assert_eq!(answered.unwrap().body, "ok");
                        break id;
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            checker.validated(id + 1, None);
            checker.validated(id, Some("the validator said no".into()));
            let found = checks.join_all().await;
            assert!(
                found.iter().all(|problem| problem.as_deref() == Some("the validator said no"))
            );
            assert!(events.try_recv().is_err(), "one question");
        });
    }

    #[test]
    fn a_validator_that_does_not_answer_in_time_is_a_problem() {
        on_a_runtime(async {
            let nowhere = EndpointAddress::Unix { path: "/nowhere".into() };
            let (checker, _events, _embedder) =
                checker(serde_json::json!({ "timeout": 50 }), nowhere);
            let problem = checker.problem().await.unwrap();
            assert_eq!(problem, "the validator did not answer within 50 ms");
            checker.validated(0, None);
        });
    }

    #[test]
    fn disabled_goes_before_a_problem_and_a_shutdown_before_both() {
        let nowhere = EndpointAddress::Unix { path: "/nowhere".into() };
        let (checker, _events, _embedder) = checker(serde_json::json!({}), nowhere);
        let check = &checker.check;
        let switch = |disabled| check.header.switch(disabled, 2_000);
        assert_eq!(check.answer("::1", "1", Some("broken")).status, 500);
        assert!(switch(true) && check.is_disabled() && !switch(true));
        assert_eq!(check.answer("::1", "1", Some("broken")).status, 400);
        assert!(switch(false) && !check.is_disabled());
        assert_eq!(check.answer("::1", "1", None).status, 200);
        check.header.leave(5);
        assert_eq!(check.answer("::1", "1", None).status, 400);
    }
}

//! The health check's verdict: the scoreboard's header, the probe of the monitor URI, and the user's validator.
//!
//! A [`Check`] is what every process that answers checks has; on the app's port JavaScript asks it, and calls the validator itself. A
//! [`HealthChecker`] answers on the monitor's port, on the monitor's thread, and has the validator called by the embedder. What always holds:
//! whoever asks while a verdict is being found waits for that one, so that a flood of checks is one probe; and every verdict comes
//! within twice `ecv.timeout`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::embedder::{Answered, Embedder, MasterEvent};
use crate::error::{ClusterError, Result};
use crate::health::check::{Answer, Ecv, Refusal, Verdict};
use crate::health::probe::Target;
use crate::health::{check, probe};
use crate::os::process;
use crate::os::scoreboard::Header;
use crate::protocol::Endpoint;
use crate::protocol::status::Time;
use crate::single_flight::SingleFlight;
use crate::{config, os};

/// Refusals are told at most this often, milliseconds.
const TELL_EVERY: u64 = 10_000;

/// The health check of one app, as far as it needs neither JavaScript nor the master.
#[derive(Debug)]
pub struct Check {
    /// Its requests and who may switch.
    pub ecv: Ecv,
    header: Header,
    monitor: Option<String>,
    target: Mutex<Option<Target>>,
    limit: Duration,
    hostname: String,
    /// Refusals that were not told yet, and when one last was.
    refusals: AtomicU64,
    told_at: AtomicU64,
}

impl Check {
    /// From the option `ecv`. A monitor that is a path is asked once `aim` has told where.
    pub fn new(config: &config::EcvOptions, header: Header) -> Self {
        Self {
            ecv: Ecv::new(config),
            header,
            monitor: config.monitor.clone(),
            target: Mutex::default(),
            limit: Duration::from_millis(config.timeout),
            hostname: process::hostname(),
            refusals: AtomicU64::default(),
            told_at: AtomicU64::default(),
        }
    }

    /// From now on a monitor that is a path is asked at this server of the app.
    pub fn aim(&self, app: Endpoint) {
        let target = self.monitor.as_deref().and_then(|monitor| Target::new(monitor, app));
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Counts a refusal, and says what the operator is to be told, if it is time: whoever floods us with bad requests floods no log.
    pub fn refused(&self, refusal: Refusal, who: &str) -> Option<String> {
        self.refusals.fetch_add(1, Ordering::Relaxed);
        let now = os::now().max(1);
        let due = |last: u64| (last == 0 || now >= last + TELL_EVERY).then_some(now);
        self.told_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due).ok()?;
        let count = self.refusals.swap(0, Ordering::Relaxed);
        let status = refusal.status();
        Some(format!(
            "{count} requests to switch the health check were refused, the last one with {status}, from {who}"
        ))
    }

    /// Whether the answer is DISABLED whatever a probe would find.
    pub fn is_disabled(&self) -> bool {
        self.state().0
    }

    /// Whether the answer is DISABLED whatever a probe would find, and since when it is as it is, milliseconds since 1970.
    fn state(&self) -> (bool, u64) {
        let switched = self.header.switched();
        self.header.leaving().map_or(switched, |since| (true, since))
    }

    /// The answer to a check that came in at `ip` and `port` and found `problem`.
    pub fn answer(&self, ip: &str, port: &str, problem: Option<&str>) -> Answer {
        let (disabled, since) = self.state();
        let verdict = match (disabled, problem) {
            (true, _) => Verdict::Disabled,
            (false, Some(_)) => Verdict::Warning,
            (false, None) => Verdict::Available,
        };
        Ecv::check(verdict, since, os::wall(), &check::Place { ip, port, hostname: &self.hostname })
    }

    /// Switches, for all processes at once; whether that changed anything.
    pub fn switch(&self, disabled: bool) -> bool {
        self.header.switch(disabled, os::wall())
    }

    /// Since when it is switched as it is, milliseconds since 1970.
    pub fn since(&self) -> u64 {
        self.header.switched().1
    }

    /// Asks the monitor URI; `Ok(None)` if there is none. The error is in words.
    pub async fn probe(&self) -> std::result::Result<Option<Answered>, String> {
        let target = self.target.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match target {
            None => Ok(None),
            Some(target) => probe::probe(&target, self.limit).await.map(Some),
        }
    }
}

/// Switches the health check of a cluster, if it has one, for a command; `tell` is called where that changes anything. The answer.
pub fn switch(
    config: &config::Config,
    header: &Header,
    disabled: bool,
    tell: impl FnOnce(String),
) -> Result<Value> {
    if config.ecv.is_none() {
        return Err(ClusterError::WrongState {
            command: "switch the health check",
            state: "without one",
        });
    }
    if header.switch(disabled, os::wall()) {
        tell("a command".to_owned());
    }
    let (disabled, since) = header.switched();
    Ok(json!({ "disabled": disabled, "since": Time::from_millis(since) }))
}

/// `None`: all is well; otherwise what is not, in words.
type Problem = Option<String>;

/// See the module's text.
pub struct HealthChecker {
    /// What it has in common with the other processes.
    pub check: Check,
    validator: bool,
    embedder: Weak<dyn Embedder>,
    asked: Mutex<BTreeMap<u32, oneshot::Sender<Problem>>>,
    last: AtomicU32,
    examination: SingleFlight<Problem>,
}

impl HealthChecker {
    /// From the option `ecv`; `embedder` calls the validator, if there is one.
    pub fn new(config: &config::EcvOptions, check: Check, embedder: Weak<dyn Embedder>) -> Self {
        Self {
            check,
            validator: config.validator,
            embedder,
            asked: Mutex::default(),
            last: AtomicU32::default(),
            examination: SingleFlight::default(),
        }
    }

    /// What a check finds now, or what one that is under way will find.
    pub async fn problem(self: &Arc<Self>) -> Problem {
        let checker = Arc::clone(self);
        let found = self.examination.run(async move { checker.examine().await }).await;
        found.unwrap_or_else(|| Some("the check was given up".into()))
    }

    async fn examine(&self) -> Problem {
        let answered = match self.check.probe().await {
            Ok(answered) => answered,
            Err(problem) => return Some(problem),
        };
        let problem = answered.as_ref().and_then(Answered::problem);
        if problem.is_some() || !self.validator { problem } else { self.validate(answered).await }
    }

    async fn validate(&self, answered: Option<Answered>) -> Problem {
        let Some(embedder) = self.embedder.upgrade() else {
            return Some("the cluster has ended".into());
        };
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let (sender, verdict) = oneshot::channel();
        {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.retain(|_, waiting| !waiting.is_closed());
            asked.insert(id, sender);
        }
        embedder.emit(MasterEvent::Validate { id, answered });
        drop(embedder);
        match tokio::time::timeout(self.check.limit, verdict).await {
            Ok(Ok(problem)) => problem,
            Ok(Err(_)) => Some("the validator was given up".into()),
            Err(_) => Some(format!(
                "the validator did not answer within {} ms",
                self.check.limit.as_millis()
            )),
        }
    }

    /// What the validator said to `MasterEvent::Validate`; too late, or of nothing that was asked, it is ignored.
    pub fn validated(&self, id: u32, problem: Problem) {
        let waiting = self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if let Some(waiting) = waiting {
            let _ = waiting.send(problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::scoreboard::Scoreboard;
    use crate::protocol::EndpointAddress;
    use crate::quota::Share;
    use std::os::fd::OwnedFd;
    use std::sync::mpsc;
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;

    struct Told(Mutex<mpsc::Sender<MasterEvent>>);

    impl Embedder for Told {
        fn emit(&self, told: MasterEvent) {
            self.0.lock().unwrap().send(told).unwrap();
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

    fn judge(
        ecv: serde_json::Value,
        at: EndpointAddress,
    ) -> (Arc<HealthChecker>, mpsc::Receiver<MasterEvent>, Arc<dyn Embedder>) {
        let mut config =
            config::Config::from_json(&serde_json::json!({ "ecv": ecv })).unwrap().ecv.unwrap();
        config.validator = true;
        let (sender, told) = mpsc::channel();
        let embedder: Arc<dyn Embedder> = Arc::new(Told(Mutex::new(sender)));
        let header = Scoreboard::create(1).unwrap().header();
        header.switch(false, 1_000);
        let check = Check::new(&config, header);
        check.aim(Endpoint { at, secure: false });
        (Arc::new(HealthChecker::new(&config, check, Arc::downgrade(&embedder))), told, embedder)
    }

    fn on_a_runtime(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn a_hundred_checks_at_once_are_one_probe_and_one_question_to_the_validator() {
        on_a_runtime(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let app = listener.local_addr().unwrap().into();
            let (judge, told, _front) = judge(serde_json::json!({ "monitor": "/health" }), app);
            let mut checks = tokio::task::JoinSet::new();
            for _ in 0..100 {
                let judge = Arc::clone(&judge);
                checks.spawn(async move { judge.problem().await });
            }
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            let id = loop {
                match told.try_recv() {
                    Ok(MasterEvent::Validate { id, answered }) => {
                        assert_eq!(answered.unwrap().body, "ok");
                        break id;
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(_) => tokio::task::yield_now().await,
                }
            };
            judge.validated(id + 1, None);
            judge.validated(id, Some("the validator said no".into()));
            let found = checks.join_all().await;
            assert!(
                found.iter().all(|problem| problem.as_deref() == Some("the validator said no"))
            );
            assert!(told.try_recv().is_err(), "one question");
        });
    }

    #[test]
    fn a_validator_that_does_not_answer_in_time_is_a_problem() {
        on_a_runtime(async {
            let (judge, _told, _front) = judge(
                serde_json::json!({ "timeout": 50 }),
                EndpointAddress::Unix { path: "/nowhere".into() },
            );
            assert_eq!(judge.problem().await.unwrap(), "the validator did not answer within 50 ms");
            judge.validated(0, None);
        });
    }

    #[test]
    fn disabled_goes_before_a_problem_and_leaving_before_both() {
        let (judge, _told, _front) =
            judge(serde_json::json!({}), EndpointAddress::Unix { path: "/nowhere".into() });
        let check = &judge.check;
        assert_eq!(check.answer("::1", "1", Some("broken")).status, 500);
        assert!(check.switch(true) && check.is_disabled() && !check.switch(true));
        assert_eq!(check.answer("::1", "1", Some("broken")).status, 400);
        assert!(check.switch(false) && !check.is_disabled());
        assert_eq!(check.answer("::1", "1", None).status, 200);
        check.header.leave(5);
        assert_eq!(check.answer("::1", "1", None).status, 400);
    }
}

//! The monitor's thread. It has a runtime of its own, so that strangers on the monitor's port
//! delay neither the supervision nor the app.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::oneshot;

use super::gateway::Gateway;
use super::listener::{Acceptor, MonitorListener};
use super::router::{Router, Settings, StatusSource};
use super::server::serve;
use super::user_app::UserApp;
use crate::config::{Config, app_name};
use crate::embedder::Embedder;
use crate::error::{ClusterError, Result};
use crate::health::{ClusterHealth, HealthChecker, HealthResponder};
use crate::os::thread;

/// Threads that read files for the pages.
const READERS: usize = 2;
/// How long clients may take for the answers to what they have asked.
const GENTLE_END_WITHIN: Duration = Duration::from_secs(1);
/// Limit for a reader that is stuck in the file system at the end.
const LAST_READS_WITHIN: Duration = Duration::from_millis(100);

/// The cluster that a monitor shows, and the user's own monitor app.
pub(crate) struct Monitored<C> {
    pub(crate) config: Config,
    /// Directory of the app's `package.json`.
    pub(crate) root: std::path::PathBuf,
    pub(crate) cluster: Arc<C>,
    /// `None` if the health check is off.
    pub(crate) health_checker: Option<Arc<HealthChecker>>,
    pub(crate) user_app: Arc<UserApp>,
    /// Hands connections to the user's app.
    pub(crate) embedder: Weak<dyn Embedder>,
}

/// A running monitor. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Monitor {
    /// Dropped: end at once. Sent: first answer what has come.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Monitor {
    /// Serves `listener`, which others may have too: the last one that drops it closes it.
    pub(crate) fn start<C: StatusSource + ClusterHealth>(
        listener: Arc<MonitorListener>,
        monitored: Monitored<C>,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(READERS)
            .build()
            .map_err(ClusterError::system("starting the monitor's runtime"))?;
        let acceptor = {
            let _inside = runtime.enter();
            listener.acceptor().map_err(ClusterError::system("serving the monitor's port"))?
        };
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(serve_cluster(acceptor, &listener, monitored, stopped));
            runtime.shutdown_timeout(LAST_READS_WITHIN);
            // Only now, so that the socket's path is removed when nothing is answered any more.
            drop(listener);
        };
        let thread = thread::start("cluster2-monitor", run);
        let thread = thread.map_err(ClusterError::system("starting the monitor's thread"))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Accepts nobody more, and ends once what has come is answered, or a second later. Does not
    /// wait for that.
    pub(crate) fn end_gently(mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may have failed.
            let _ = stop.send(());
        }
        drop(self.thread.take());
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve_cluster<C: StatusSource + ClusterHealth>(
    acceptor: Acceptor,
    listener: &MonitorListener,
    monitored: Monitored<C>,
    stopped: oneshot::Receiver<()>,
) {
    let Monitored { config, root, cluster, health_checker, user_app, embedder } = monitored;
    let settings = Settings {
        name: config.name.clone().unwrap_or_else(|| app_name(&root)),
        path: config.mon_path.clone(),
        hosts: listener.hosts(),
        logs: config.logs.clone(),
        root,
    };
    let router = Router::new(settings, Arc::clone(&cluster));
    let health = health_checker
        .map(|checker| HealthResponder::new(checker, cluster, &config, listener.ip()));
    let gateway = Gateway { router: Arc::clone(&router), health, user_app, embedder };
    let mut serving = std::pin::pin!(serve(acceptor, Arc::clone(&router), Arc::new(gateway)));
    tokio::select! {
        () = &mut serving => {}
        stopped = stopped => {
            if stopped.is_ok() {
                router.close();
                let _ = tokio::time::timeout(GENTLE_END_WITHIN, serving).await;
            }
        }
    }
}

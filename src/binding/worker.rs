//! The worker's end for JavaScript.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use napi::bindgen_prelude::ArrayBuffer;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;

use super::ecv::NativeEcv;
use super::{fail, parse, print};
use crate::ipc::frame::{Order, Origin};
use crate::runtime::worker::{Taken, Worker};
use crate::runtime::{log, output};
use crate::sys::scoreboard::Field;

type Notify = ThreadsafeFunction<(), (), (), Status, false, true, 2>;

/// This process as a worker.
#[napi]
pub struct NativeWorker {
    worker: Worker,
    order: Option<Order>,
    /// JavaScript was notified and has not looked yet.
    notified: Arc<AtomicBool>,
}

#[napi]
impl NativeWorker {
    /// Takes over what the master passed; works once in a process.
    #[napi(constructor)]
    pub fn new(row: u32) -> napi::Result<Self> {
        log::start();
        let worker = Worker::enter(row as usize).map_err(fail)?;
        Ok(Self { worker, order: None, notified: Arc::default() })
    }

    /// Looks at the channel from now on; `notify` is called when there may be something to `take`. An orphan whose event loop is stuck is
    /// ended after `orphan_limit` milliseconds.
    #[napi]
    pub fn watch(&mut self, env: &Env, orphan_limit: u32, notify: Notify) -> napi::Result<()> {
        let notified = Arc::clone(&self.notified);
        let once = move || {
            if !notified.swap(true, Ordering::AcqRel) {
                notify.call((), ThreadsafeFunctionCallMode::NonBlocking);
            }
        };
        let event_loop = env.get_uv_event_loop()?.cast();
        self.worker.watch(event_loop, Duration::from_millis(u64::from(orphan_limit)), once).map_err(fail)
    }

    /// Takes one message off the channel: `[fd, listener, idle, fd, …]` (`Origin`); `[]` if there is none, `[-1]` for an order
    /// (then call `order`), `[-2]` when the master is gone, `[-3]` when descriptors are lacking. The descriptors are the caller's to close.
    #[napi]
    pub fn take(&mut self) -> napi::Result<Vec<i32>> {
        self.notified.store(false, Ordering::Release);
        Ok(match self.worker.take().map_err(fail)? {
            Taken::Nothing => Vec::new(),
            Taken::Orphaned => vec![-2],
            Taken::Starved => vec![-3],
            Taken::Order(order) => {
                self.order = Some(order);
                vec![-1]
            }
            Taken::Connections(connections) => {
                let numbers =
                    |(fd, origin): (OwnedFd, Origin)| [fd.into_raw_fd(), origin.listener as i32, origin.idle as i32];
                connections.into_iter().flat_map(numbers).collect()
            }
        })
    }

    /// The order that `take` found, as JSON.
    #[napi]
    pub fn order(&mut self) -> napi::Result<Option<String>> {
        self.order.take().map(|order| print(&order)).transpose()
    }

    /// Gives a connection back to the master, which finds another worker for it. `fd` stays open here, and the caller's.
    #[napi]
    pub fn give_back(&mut self, fd: i32, listener: u32, idle: u32) -> napi::Result<()> {
        self.worker.give_back(fd, Origin { listener, idle }).map_err(fail)
    }

    /// Reports to the master; `report` is JSON.
    #[napi]
    pub fn report(&mut self, report: String) -> napi::Result<()> {
        self.worker.report(&parse(&report)?).map_err(fail)
    }

    /// Takes up again what was not possible before for lack of room or of descriptors.
    #[napi]
    pub fn catch_up(&mut self) -> napi::Result<()> {
        self.worker.catch_up().map_err(fail)
    }

    /// From now on standard output and error are the files of `slot` that have their names in the directory `logs` now.
    #[napi]
    pub fn reopen_logs(logs: String, slot: u32) -> napi::Result<()> {
        output::reopen(logs.as_ref(), slot).map_err(fail)
    }

    /// This worker's row of the scoreboard, as the shared memory itself.
    #[napi]
    pub fn row<'env>(&self, env: &'env Env) -> napi::Result<ArrayBuffer<'env>> {
        super::row(env, self.worker.row())
    }

    /// The health check; `config` is the option `ecv` of the normalised options, `place` a `Place` of `src/ipc/place.rs`.
    #[napi]
    pub fn ecv(&self, config: String, place: String) -> napi::Result<NativeEcv> {
        NativeEcv::new(&config, &place, self.worker.header().clone())
    }

    /// Names of the row's numbers, in order.
    #[napi]
    pub fn fields() -> Vec<&'static str> {
        Field::NAMES.to_vec()
    }
}

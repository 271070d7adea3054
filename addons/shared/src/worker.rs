//! A worker for JavaScript.

use std::os::fd::IntoRawFd;
use std::time::Duration;

use cluster2_rs::log;
use cluster2_rs::os::process::Identity;
use cluster2_rs::os::scoreboard::Field;
use cluster2_rs::protocol::{Order, Origin, Past};
use cluster2_rs::worker::{MasterLink, WorkerSignal, disable_execution, enable_execution};
use cluster2_rs::worker_logs;
use napi::Env;
use napi::bindgen_prelude::{ArrayBuffer, Buffer, Function, Uint32Array};
use napi_derive::napi;

use crate::callback::Callback;
use crate::convert::{fail, parse, print};
use crate::health::NativeHealthCheck;
use crate::shared_memory;

/// What `take` returns in place of a number of connections.
#[napi]
pub enum TakeResult {
    /// An order: call `order`.
    Order = -1,
    /// The master is gone.
    Orphaned = -2,
    /// Descriptors are lacking for the connections that are there: call `catch_up` later.
    Starved = -3,
}

/// The numbers that `take` writes for each connection.
const NUMBERS: usize = 6;

/// An `Int32Array`. The alias is needed: napi-derive takes a plain `&mut` for one of its objects.
type Batch<'a> = &'a mut [i32];

/// This process as a worker.
#[napi]
pub struct NativeWorker {
    link: MasterLink,
    order: Option<Order>,
}

#[napi]
impl NativeWorker {
    /// Takes over the descriptors that the master passed; works once in a process.
    #[napi(constructor)]
    pub fn new(row: u32) -> napi::Result<Self> {
        log::start();
        let link = MasterLink::enter(row as usize).map_err(fail)?;
        Ok(Self { link, order: None })
    }

    /// Waits until the process before this one in its slot is gone, but no longer than `limit`
    /// milliseconds. What both need, such as a port of their own, is free then. `process`: an
    /// `Identity`, as JSON.
    #[napi]
    pub fn wait_for_end(process: String, limit: u32) -> napi::Result<()> {
        parse::<Identity>(&process)?.wait_for_end(Duration::from_millis(u64::from(limit)));
        Ok(())
    }

    /// Starts to watch the channel. `notify` is called when there may be something to `take`. A
    /// heartbeat is made every `beat` milliseconds. An orphan whose event loop is stuck is killed
    /// after `orphan_limit` milliseconds. `seizes`: others serve its idle connections while its
    /// event loop is stuck.
    #[napi]
    pub fn watch(
        &mut self,
        env: &Env,
        beat: u32,
        orphan_limit: u32,
        seizes: bool,
        notify: Function<'_, (), ()>,
    ) -> napi::Result<()> {
        let notify = Callback::new(env, &notify)?;
        let event_loop = env.get_uv_event_loop()?.cast();
        let [beat, limit] = [beat, orphan_limit].map(|time| Duration::from_millis(u64::from(time)));
        self.link.watch(event_loop, beat, limit, seizes, move || notify.call()).map_err(fail)
    }

    /// Returns the idle marks, as the memory itself, after `watch`. `null`: there are none, and no
    /// connection is taken while its event loop is stuck.
    #[napi]
    pub fn idle_marks<'env>(&self, env: &'env Env) -> napi::Result<Option<ArrayBuffer<'env>>> {
        self.link.idle_marks().map(|marks| shared_memory::idle_marks(env, marks)).transpose()
    }

    /// Lets the master ask what this worker executes. `caller`: the name of the function that calls
    /// this; `heap_used`: bytes of the heap in use. Does nothing where this Node does not show it.
    #[napi]
    pub fn show_execution(&self, env: &Env, caller: String, heap_used: f64) -> napi::Result<()> {
        enable_execution(env.raw().cast(), &caller, heap_used);
        env.add_env_cleanup_hook((), |()| disable_execution())?;
        Ok(())
    }

    /// Serves a listener from now on, by accepting from its socket or by what the master sends.
    /// `http1`: whether its server speaks HTTP/1 without TLS.
    /// Returns `false` if the report of it waits for room, as `report` does.
    #[napi]
    pub fn serve(&mut self, listener: u32, http1: bool) -> napi::Result<bool> {
        self.link.serve(listener, http1).map_err(fail)
    }

    /// Accepts nothing more from a listener. The master does not know: report it.
    #[napi]
    pub fn stop_accepting(&mut self, listener: u32) {
        self.link.stop_accepting(listener);
    }

    /// Accepts nothing more from any listener.
    #[napi]
    pub fn stop_accepting_all(&mut self) {
        self.link.stop_accepting_all();
    }

    /// Returns the length of a batch for `take`: six numbers for each connection.
    #[napi]
    pub fn batch_size() -> u32 {
        (NUMBERS * MasterLink::MAX_TAKEN) as u32
    }

    /// Takes one message. Returns the number of connections that it writes into `batch`
    /// (`batch_size` numbers long), each as a descriptor, which is the caller's to close, and the
    /// numbers of its `Origin`, in their order; 0 if there is nothing; or a `TakeResult`.
    #[napi]
    pub fn take(&mut self, batch: Batch<'_>) -> napi::Result<i32> {
        Ok(match self.link.take().map_err(fail)? {
            WorkerSignal::Nothing => 0,
            WorkerSignal::Orphaned => TakeResult::Orphaned as i32,
            WorkerSignal::Starved => TakeResult::Starved as i32,
            WorkerSignal::Order(order) => {
                self.order = Some(order);
                TakeResult::Order as i32
            }
            WorkerSignal::Connections(connections) => {
                let count = connections.len() as i32;
                for ((fd, origin), numbers) in
                    connections.into_iter().zip(batch.chunks_exact_mut(NUMBERS))
                {
                    let Origin { listener, past } = origin;
                    let origin = [listener, past.stage, past.since, past.timeout, past.requests];
                    numbers[0] = fd.into_raw_fd();
                    numbers[1..].copy_from_slice(&origin.map(|number| number as i32));
                }
                count
            }
        })
    }

    /// Returns the order of the last `take`, as JSON.
    #[napi]
    pub fn order(&mut self) -> napi::Result<Option<String>> {
        self.order.take().map(|order| print(&order)).transpose()
    }

    /// Returns the bytes of the request that came with the connection of the last `take`, if one
    /// did.
    #[napi]
    pub fn request(&mut self) -> Option<Buffer> {
        self.link.take_request().map(|request| Vec::from(request).into())
    }

    /// Gives a connection back to the master, which finds another worker for it. `fd` stays open,
    /// and the caller's. `past`: the numbers of `Past`, in their order. Returns `false` if there is
    /// no room for it now.
    #[napi]
    pub fn give_back(&mut self, fd: i32, listener: u32, past: Uint32Array) -> napi::Result<bool> {
        self.link.give_back(fd, origin(listener, &past)?).map_err(fail)
    }

    /// As `give_back`, with the bytes of a request that another worker is to answer. Waits for
    /// room, for at most `limit` milliseconds. Fails if the request is longer than a frame holds.
    #[napi]
    pub fn give_request(
        &mut self,
        fd: i32,
        listener: u32,
        past: Uint32Array,
        request: Buffer,
        limit: u32,
    ) -> napi::Result<bool> {
        let limit = Duration::from_millis(u64::from(limit));
        let origin = origin(listener, &past)?;
        self.link.give_request(fd, origin, &request, limit).map_err(fail)
    }

    /// Gives connections back at the end of this process, with those that it accepted and that
    /// nobody took. `connections`: as `take` writes them. Waits for room, for at most `limit`
    /// milliseconds. All descriptors stay open, and the caller's. Returns how many were sent.
    #[napi]
    pub fn give_last(&mut self, connections: Batch<'_>, limit: u32) -> napi::Result<u32> {
        let connections: Vec<_> = connections
            .chunks_exact(NUMBERS)
            .map(|numbers| {
                let [listener, stage, since, timeout, requests] =
                    [1, 2, 3, 4, 5].map(|at| numbers[at] as u32);
                let past = Past { stage, since, timeout, requests };
                (numbers[0], Origin { listener, past })
            })
            .collect();
        let limit = Duration::from_millis(u64::from(limit));
        Ok(self.link.give_last(&connections, limit).map_err(fail)? as u32)
    }

    /// Reports to the master; `report` is JSON. Returns `false` if it waits for room, until the
    /// next report or `catch_up`.
    #[napi]
    pub fn report(&mut self, report: String) -> napi::Result<bool> {
        self.link.report(&parse(&report)?).map_err(fail)
    }

    /// Reports to the master, and waits for the order that answers; both are JSON. `null`: there is
    /// none, because the master is busy or gone, or descriptors are lacking. Then the master may or
    /// may not have read it: `report` it again.
    #[napi]
    pub fn ask(&mut self, report: String) -> napi::Result<Option<String>> {
        self.link.ask(&parse(&report)?).map_err(fail)?.map(|order| print(&order)).transpose()
    }

    /// Tries again what failed before, because room or descriptors were lacking. Returns `false` if
    /// they still are.
    #[napi]
    pub fn catch_up(&mut self) -> napi::Result<bool> {
        self.link.catch_up().map_err(fail)
    }

    /// Opens the log files of `slot` in the directory `logs` again, as standard output and error.
    #[napi]
    pub fn reopen_logs(logs: String, slot: u32) -> napi::Result<()> {
        worker_logs::reopen(logs.as_ref(), slot).map_err(fail)
    }

    /// Whether the master is gone or has begun to end. Exact after the end of Node's IPC.
    #[napi]
    pub fn is_master_ending(&self) -> bool {
        self.link.is_master_ending()
    }

    /// Returns the scoreboard's header, as the shared memory itself. Its first two numbers: when
    /// the health check was last switched, milliseconds since 1970, negative if off; and when the
    /// shutdown started, or 0.
    #[napi]
    pub fn header<'env>(&self, env: &'env Env) -> napi::Result<ArrayBuffer<'env>> {
        shared_memory::header(env, self.link.header())
    }

    /// Returns this worker's row of the scoreboard, as the shared memory itself.
    #[napi]
    pub fn row<'env>(&self, env: &'env Env) -> napi::Result<ArrayBuffer<'env>> {
        shared_memory::row(env, self.link.row())
    }

    /// Returns where to keep what is written to standard error, as the shared memory itself: a
    /// double, how many bytes were ever kept, and a ring of bytes with the last ones.
    #[napi]
    pub fn last_text<'env>(&self, env: &'env Env) -> napi::Result<ArrayBuffer<'env>> {
        shared_memory::last_text(env, self.link.row())
    }

    /// Returns the health check; see `NativeHealthCheck::new`.
    #[napi]
    pub fn health_check(&self, config: String) -> napi::Result<NativeHealthCheck> {
        NativeHealthCheck::new(&config, self.link.header().clone())
    }

    /// Returns the names of the row's numbers, in order.
    #[napi]
    pub fn fields() -> Vec<&'static str> {
        Field::NAMES.to_vec()
    }
}

/// `past`: the numbers of `Past`, in their order.
fn origin(listener: u32, past: &[u32]) -> napi::Result<Origin> {
    let &[stage, since, timeout, requests] = past else {
        return Err(napi::Error::from_reason("a past has four numbers"));
    };
    Ok(Origin { listener, past: Past { stage, since, timeout, requests } })
}

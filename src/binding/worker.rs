//! The worker's end for JavaScript.

use std::os::fd::IntoRawFd;
use std::time::Duration;

use napi::Env;
use napi::bindgen_prelude::{ArrayBuffer, Function, Uint32Array};
use napi_derive::napi;

use crate::binding::callback::Callback;
use crate::binding::health::NativeEcv;
use crate::binding::{fail, parse, print};
use crate::log;
use crate::master::reopen_log_files;
use crate::os::scoreboard::Field;
use crate::protocol::{Order, Origin, Past};
use crate::worker::master_link::{MasterLink, WorkerSignal};

/// What `take` says instead of a number of connections.
const ORDER: i32 = -1;
const ORPHANED: i32 = -2;
const STARVED: i32 = -3;

/// The numbers that `take` writes for each connection.
const NUMBERS: usize = 6;

/// An `Int32Array`. By this name, since napi-derive takes a plain `&mut` for one of its own objects.
type Batch<'a> = &'a mut [i32];

/// The master's answer to a question.
#[napi(object)]
pub struct Answer {
    /// An order, as JSON.
    pub order: String,
    /// The descriptor beside it, which is the caller's to close, or -1.
    pub lane: i32,
}

/// This process as a worker.
#[napi]
pub struct NativeWorker {
    worker: MasterLink,
    order: Option<Order>,
}

#[napi]
impl NativeWorker {
    /// Takes over what the master passed; works once in a process.
    #[napi(constructor)]
    pub fn new(row: u32) -> napi::Result<Self> {
        log::start();
        let worker = MasterLink::enter(row as usize).map_err(fail)?;
        Ok(Self { worker, order: None })
    }

    /// Looks at the channel from now on; `notify` is called when there may be something to `take`. A beat is made each `beat`
    /// milliseconds. An orphan whose event loop is stuck is ended after `orphan_limit` milliseconds.
    #[napi]
    pub fn watch(
        &mut self,
        env: &Env,
        beat: u32,
        orphan_limit: u32,
        notify: Function<'_, (), ()>,
    ) -> napi::Result<()> {
        let notify = Callback::new(env, &notify)?;
        let event_loop = env.get_uv_event_loop()?.cast();
        let [beat, limit] = [beat, orphan_limit].map(|time| Duration::from_millis(u64::from(time)));
        self.worker.watch(event_loop, beat, limit, move || notify.call()).map_err(fail)
    }

    /// Has `notify` called once, when descriptors are lacking, and before the event loop accepts anything more.
    #[napi]
    pub fn watch_room(&mut self, env: &Env, notify: Function<'_, (), ()>) -> napi::Result<()> {
        let notify = Callback::new(env, &notify)?;
        self.worker.watch_room(env.get_uv_event_loop()?.cast(), move || notify.call()).map_err(fail)
    }

    /// The numbers of one `take` at most: six for each connection.
    #[napi]
    pub fn batch_size() -> u32 {
        (NUMBERS * MasterLink::MAX_TAKEN) as u32
    }

    /// Takes one message. Answers how many connections it writes into `batch` (`batch_size` numbers long), each as
    /// descriptor and the numbers of its `Origin`, in their order; the descriptors are the caller's to close. 0: nothing is there,
    /// -1: an order (then call `order`), of which the first number of `batch` is the lane, or -1, -2: the master is gone, -3:
    /// descriptors are lacking.
    #[napi]
    pub fn take(&mut self, batch: Batch<'_>) -> napi::Result<i32> {
        Ok(match self.worker.take().map_err(fail)? {
            WorkerSignal::Nothing => 0,
            WorkerSignal::Orphaned => ORPHANED,
            WorkerSignal::Starved => STARVED,
            WorkerSignal::Order(order, lane) => {
                self.order = Some(order);
                if let Some(place) = batch.first_mut() {
                    *place = lane.map_or(-1, IntoRawFd::into_raw_fd);
                }
                ORDER
            }
            WorkerSignal::Connections(connections) => {
                let count = connections.len() as i32;
                for ((fd, origin), place) in
                    connections.into_iter().zip(batch.chunks_exact_mut(NUMBERS))
                {
                    let Origin { listener, past } = origin;
                    let numbers = [listener, past.stage, past.since, past.timeout, past.requests];
                    place[0] = fd.into_raw_fd();
                    place[1..].copy_from_slice(&numbers.map(|number| number as i32));
                }
                count
            }
        })
    }

    /// The order that `take` found, as JSON.
    #[napi]
    pub fn order(&mut self) -> napi::Result<Option<String>> {
        self.order.take().map(|order| print(&order)).transpose()
    }

    /// Gives a connection back to the master, which finds another worker for it. `fd` stays open here, and the caller's. `past`:
    /// the numbers of `Past`, in their order. False: there is no room for it now.
    #[napi]
    pub fn give_back(&mut self, fd: i32, listener: u32, past: Uint32Array) -> napi::Result<bool> {
        let &[stage, since, timeout, requests] = past.as_ref() else {
            return Err(napi::Error::from_reason("a past has four numbers"));
        };
        let origin = Origin { listener, past: Past { stage, since, timeout, requests } };
        self.worker.give_back(fd, origin).map_err(fail)
    }

    /// Reports to the master; `report` is JSON. False: it waits for room, until the next report or `catch_up`.
    #[napi]
    pub fn report(&mut self, report: String) -> napi::Result<bool> {
        self.worker.report(&parse(&report)?).map_err(fail)
    }

    /// Reports to the master, and waits for its answer; `report` is JSON. `null`: there is none, since the master is busy or gone,
    /// or descriptors are lacking; then rely on nothing; a `report` does the same.
    #[napi]
    pub fn ask(&mut self, report: String) -> napi::Result<Option<Answer>> {
        let Some((order, lane)) = self.worker.ask(&parse(&report)?).map_err(fail)? else {
            return Ok(None);
        };
        Ok(Some(Answer { order: print(&order)?, lane: lane.map_or(-1, IntoRawFd::into_raw_fd) }))
    }

    /// Takes up again what was not possible before for lack of room or of descriptors. False: that is not over yet.
    #[napi]
    pub fn catch_up(&mut self) -> napi::Result<bool> {
        self.worker.catch_up().map_err(fail)
    }

    /// From now on standard output and error are the files of `slot` that have their names in the directory `logs` now.
    #[napi]
    pub fn reopen_logs(logs: String, slot: u32) -> napi::Result<()> {
        reopen_log_files(logs.as_ref(), slot).map_err(fail)
    }

    /// The scoreboard's header, as the shared memory itself: what a health check's answer depends on besides what a probe finds. Its first
    /// two numbers are since when it is switched as it is, milliseconds since 1970, negative if off, and since when the cluster shuts
    /// down, or 0.
    #[napi]
    pub fn header<'env>(&self, env: &'env Env) -> napi::Result<ArrayBuffer<'env>> {
        crate::binding::header(env, self.worker.header())
    }

    /// This worker's row of the scoreboard, as the shared memory itself.
    #[napi]
    pub fn row<'env>(&self, env: &'env Env) -> napi::Result<ArrayBuffer<'env>> {
        crate::binding::row(env, self.worker.row())
    }

    /// The health check; `config` is the option `ecv` of the normalised options, `place` an `Endpoint` of `src/protocol/endpoint.rs`.
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

//! One HTTP thread: its runtime, a task for each request under way on it, and its own way to the sink.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use ossmark_protocol::{End, Event, Request, RequestId};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinError, LocalSet, spawn_local};

use crate::connection::Connection;
use crate::dispatch::{Command, Dispatch};
use crate::exchange::{Client, exchange};
use crate::outbox::{OpenRequest, SharedSink};
use crate::quote::message;
use crate::stats::{Counters, add, count};

/// What a thread works with.
pub(crate) struct Worker {
    /// Its place among the threads.
    pub(crate) index: usize,
    pub(crate) client: Client,
    /// Requests under way, and how to tell each that it is cancelled.
    cancels: RefCell<HashMap<RequestId, Rc<Notify>>>,
}

impl Worker {
    pub(crate) fn new(index: usize, client: Client) -> Self {
        Self {
            index,
            client,
            cancels: RefCell::default(),
        }
    }
}

/// Works until it is told to stop, nobody listens, or servers stay away; then every other thread ends as well.
pub(crate) fn run(
    make: impl FnOnce() -> Worker,
    runtime: &Runtime,
    commands: UnboundedReceiver<Command>,
    dispatch: &Dispatch,
    sink: &Arc<SharedSink>,
) {
    let main = async {
        let worker = Rc::new(make());
        spawn_local(connect_ahead(Rc::clone(&worker)));
        // Tasks of their own: a wake-up of one is a place in the queue; one of this future is a call to the system.
        let commands = spawn_local(take_commands(commands, Rc::clone(&worker)));
        let (from, to) = (Rc::clone(&worker), Arc::clone(sink));
        let delivery = spawn_local(async move { from.client.outbox.deliver(&to).await });
        tokio::select! {
            ended = commands => pass_on(ended),
            ended = delivery => pass_on(ended),
            what = over(&worker) => drop(sink.send(Event::Fatal(what))),
        }
        count_processor_time(&worker.client.outbox.counters);
    };
    let local = LocalSet::new();
    let ran = catch_unwind(AssertUnwindSafe(|| local.block_on(runtime, main)));
    if let Err(panic) = ran {
        let message = format!("the HTTP thread panicked: {}", panic_message(&*panic));
        sink.send(Event::Fatal(message));
    }
    dispatch.stop();
}

/// Opens this thread's part of the connections that are wanted before requests come.
async fn connect_ahead(worker: Rc<Worker>) {
    let client = &worker.client;
    let lanes = client.dispatch.balancer.lanes();
    let each = client
        .settings
        .connect_ahead
        .div_ceil(client.settings.threads() * lanes);
    for lane in (0..lanes).cycle().take(each * lanes) {
        let target = &client.dispatch.balancer.lane(lane).target;
        // The request that needs it will say why there is none.
        let Ok(connection) = Connection::open(target, client.sources.next()).await else {
            return;
        };
        count(&client.outbox.counters.connections);
        client.idle.put(lane, connection);
    }
}

/// A panic of a task is one of the thread.
fn pass_on(ended: Result<(), JoinError>) {
    if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
        resume_unwind(panic);
    }
}

async fn take_commands(mut commands: UnboundedReceiver<Command>, worker: Rc<Worker>) {
    loop {
        match commands.recv().await {
            Some(Command::Start(lane, request)) => {
                let cancel = Rc::new(Notify::new());
                let known = Rc::clone(&cancel);
                worker.cancels.borrow_mut().insert(request.id, known);
                spawn_local(work(Rc::clone(&worker), lane, request, cancel));
            }
            Some(Command::Cancel(ids)) => {
                let cancels = worker.cancels.borrow();
                for cancel in ids.iter().filter_map(|id| cancels.get(id)) {
                    cancel.notify_one();
                }
            }
            Some(Command::EndUnsent(ids)) => {
                for id in ids {
                    OpenRequest::new(id, &worker.client.outbox).end(0, &[], End::Cancelled);
                }
            }
            Some(Command::Stop) | None => return,
        }
    }
}

async fn work(worker: Rc<Worker>, lane: usize, request: Request, cancel: Rc<Notify>) {
    let place = Place {
        worker: &worker,
        lane: Cell::new(lane),
        id: request.id,
    };
    let ended_on = exchange(&worker.client, lane, request, &cancel).await;
    place.lane.set(ended_on);
}

/// A request's place among those under way, given back also by a task that panics.
struct Place<'a> {
    worker: &'a Worker,
    lane: Cell<usize>,
    id: RequestId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.worker.cancels.borrow_mut().remove(&self.id);
        let (thread, lane) = (self.worker.index, self.lane.get());
        self.worker.client.dispatch.left(thread, lane);
    }
}

/// Ends when servers that were held for did not come back in time. One thread tells for all.
async fn over(worker: &Worker) -> String {
    match &worker.client.outage {
        Some(outage) if worker.index == 0 => {
            let what = outage.over().await;
            let held = worker.client.settings.hold.unwrap_or_default();
            format!(
                "no server answered for {} s (--hold): {}",
                held.as_secs_f64(),
                message(&what)
            )
        }
        _ => std::future::pending().await,
    }
}

/// What the calling thread has used, where the system tells.
fn count_processor_time(counters: &Counters) {
    let told = ossmark_files::read_to_string(Path::new("/proc/thread-self/schedstat"));
    let first = told.as_deref().map(|text| text.split(' ').next());
    if let Ok(Some(nanoseconds)) = first {
        add(&counters.processor_ns, nanoseconds.parse().unwrap_or(0));
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

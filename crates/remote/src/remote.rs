//! The handle and its thread: one runtime, one task per request under way.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::thread::JoinHandle;

use ossmark_protocol::{Closed, Event, Request, RequestId, Sink};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

use crate::balancer::Balancer;
use crate::dispatch::Dispatch;
use crate::exchange::Client;
use crate::fleet::differences;
use crate::hold::Outage;
use crate::outbox::{Outbox, SharedSink, send};
use crate::probe::{ServerInfo, open_lane};
use crate::quote::message;
use crate::stats::Counters;
use crate::{Error, Settings, Stats, open_files, tls};

/// A generator whose answers come from servers. Dropping it is [`Remote::shutdown`].
#[derive(Debug)]
pub struct Remote {
    commands: UnboundedSender<Command>,
    counters: Arc<Counters>,
    servers: Vec<ServerInfo>,
    differences: Vec<String>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
enum Command {
    Submit(Vec<Request>),
    Cancel(Vec<RequestId>),
    Stop,
}

impl Remote {
    /// Finds out what each endpoint is and has it answer one request. `sink` is called on the HTTP thread: whenever
    /// anything has moved, with all that did, and with [`Event::Fatal`] at most once, as the last event.
    ///
    /// # Errors
    /// Settings out of range; an endpoint that cannot be reached, speaks no API that is known, or returns no token ids;
    /// endpoints of different models.
    pub fn start(settings: Settings, sink: Sink) -> Result<Self, Error> {
        settings.check()?;
        open_files::raise_limit(settings.max_concurrency)?;
        let connector = tls::connector(&settings.endpoints, settings.ca_file.as_deref())?;
        let counters = Arc::new(Counters::new(settings.endpoints.len()));
        let (commands, received) = unbounded_channel();
        let (started, starting) = std_mpsc::channel();
        let for_thread = Arc::clone(&counters);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name("http".into())
            .spawn(move || {
                let sink: SharedSink = Arc::new(Mutex::new(sink));
                let main = async {
                    let mut lanes = Vec::new();
                    let mut servers = Vec::new();
                    for endpoint in &settings.endpoints {
                        match open_lane(&settings, endpoint, connector.as_ref()).await {
                            Ok((lane, info)) => {
                                lanes.push(lane);
                                servers.push(info);
                            }
                            Err(error) => {
                                let _ = started.send(Err(error));
                                return;
                            }
                        }
                    }
                    let _ = started.send(Ok(servers));
                    let client = Client {
                        outage: settings.hold.map(Outage::new),
                        settings,
                        balancer: Balancer::new(lanes, Arc::clone(&for_thread)),
                        outbox: Outbox::new(for_thread),
                    };
                    let dispatch = Rc::new(Dispatch::new(client));
                    tokio::select! {
                        () = take_commands(received, &dispatch) => {}
                        () = dispatch.client.outbox.deliver(&sink) => {}
                        what = over(&dispatch) => drop(send(&sink, Event::Fatal(what))),
                    }
                };
                let local = LocalSet::new();
                let run = AssertUnwindSafe(|| local.block_on(&runtime, main));
                if let Err(panic) = catch_unwind(run) {
                    let message = format!("the HTTP thread panicked: {}", panic_message(&*panic));
                    send(&sink, Event::Fatal(message));
                }
            })?;
        let servers = starting.recv().map_err(|_| Error::Panicked)??;
        // When it fails the thread ends with its channel of commands.
        let differences = differences(&servers)?;
        Ok(Self {
            commands,
            counters,
            servers,
            differences,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Hands requests over; never blocks. Each ends in one output with `end`.
    ///
    /// # Errors
    /// After a shutdown, or once nobody listens to the sink.
    pub fn submit(&self, requests: Vec<Request>) -> Result<(), Closed> {
        self.commands
            .send(Command::Submit(requests))
            .map_err(|_| Closed)
    }

    /// Ends requests early: each that is still open gets `End::Cancelled` as its one end, and its connection is closed, which
    /// tells the server. Others are ignored.
    pub fn cancel(&self, ids: Vec<RequestId>) {
        // A thread that is gone has nothing open.
        let _ = self.commands.send(Command::Cancel(ids));
    }

    /// What the endpoints are, in the order of the settings.
    pub fn servers(&self) -> &[ServerInfo] {
        &self.servers
    }

    /// How the endpoints differ from each other, a sentence each.
    pub fn differences(&self) -> &[String] {
        &self.differences
    }

    /// How it goes.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// Closes all connections, which abandons what is open without an answer, and waits for the thread.
    pub fn shutdown(&self) {
        // A thread that is gone needs no telling.
        let _ = self.commands.send(Command::Stop);
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        // Its panics were caught and became events.
        let _ = thread.map(JoinHandle::join);
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Ends when servers that were held for did not come back in time.
async fn over(dispatch: &Dispatch) -> String {
    match &dispatch.client.outage {
        Some(outage) => {
            let what = outage.over().await;
            let held = dispatch.client.settings.hold.unwrap_or_default();
            format!(
                "no server answered for {} s (--hold): {}",
                held.as_secs_f64(),
                message(&what)
            )
        }
        None => std::future::pending().await,
    }
}

async fn take_commands(mut received: UnboundedReceiver<Command>, dispatch: &Rc<Dispatch>) {
    loop {
        match received.recv().await {
            Some(Command::Submit(requests)) => dispatch.submit(requests),
            Some(Command::Cancel(ids)) => dispatch.cancel(&ids),
            Some(Command::Stop) | None => return,
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

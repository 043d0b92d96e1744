//! The handle: it starts the threads, and is how everybody else speaks to them.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use ossmark_protocol::{Closed, Request, RequestId, Sink};
use tokio::runtime::Builder;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::LocalSet;

use crate::balancer::Balancer;
use crate::dispatch::Dispatch;
use crate::exchange::Client;
use crate::fleet::differences;
use crate::hold::Outage;
use crate::lane::{Idle, Lane};
use crate::outbox::{Outbox, SharedSink};
use crate::probe::{ServerInfo, open_lane};
use crate::sources::Sources;
use crate::stats::Counters;
use crate::worker::{self, Worker};
use crate::{Error, Settings, Stats, room, tls};

/// A generator whose answers come from servers. Dropping it is [`Remote::shutdown`].
#[derive(Debug)]
pub struct Remote {
    dispatch: Arc<Dispatch>,
    counters: Arc<Counters>,
    servers: Vec<ServerInfo>,
    differences: Vec<String>,
    raised: Option<String>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Remote {
    /// Looks for room on this machine, finds out what each endpoint is and has it answer one request. `sink` is called on the
    /// HTTP threads, by one at a time: whenever anything has moved, with all that did on that thread, and with
    /// [`Event::Fatal`] at most once, as the last event.
    ///
    /// # Errors
    /// Settings out of range; too few open files, ports or too little memory; an endpoint that cannot be reached, speaks no API
    /// that is known, or returns no token ids; endpoints of different models.
    ///
    /// [`Event::Fatal`]: ossmark_protocol::Event::Fatal
    pub fn start(settings: Settings, sink: Sink) -> Result<Self, Error> {
        settings.check()?;
        room::memory(&settings)?;
        let raised = room::open_files(settings.max_concurrency)?;
        let (lanes, servers) = probe(&settings)?;
        let addresses = lanes
            .iter()
            .filter_map(|lane| lane.target.addresses.first());
        room::ports(&settings, &addresses.copied().collect::<Vec<_>>())?;
        let differences = differences(&servers)?;

        let counters = Arc::new(Counters::new(settings.endpoints.len()));
        let (commands, received): (Vec<_>, Vec<_>) =
            (0..settings.threads()).map(|_| unbounded_channel()).unzip();
        let dispatch = Arc::new(Dispatch::new(
            Balancer::new(lanes, Arc::clone(&counters)),
            commands,
            settings.max_concurrency,
            Arc::clone(&counters),
        ));
        // From here on dropping it ends the threads that were started.
        let mut remote = Self {
            dispatch: Arc::clone(&dispatch),
            counters: Arc::clone(&counters),
            servers,
            differences,
            raised,
            threads: Mutex::default(),
        };
        let outage = settings.hold.map(Outage::new).map(Arc::new);
        let settings = Arc::new(settings);
        let sink = Arc::new(SharedSink::new(sink));
        for (index, commands) in received.into_iter().enumerate() {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let (dispatch, sink) = (Arc::clone(&dispatch), Arc::clone(&sink));
            let (settings, counters) = (Arc::clone(&settings), Arc::clone(&counters));
            let outage = outage.clone();
            let make = {
                let dispatch = Arc::clone(&dispatch);
                move || {
                    let client = Client {
                        idle: Idle::new(dispatch.balancer.lanes()),
                        sources: Sources::new(&settings.source_addresses),
                        outbox: Outbox::new(counters),
                        settings,
                        outage,
                        dispatch: Arc::clone(&dispatch),
                    };
                    Worker::new(index, client)
                }
            };
            let thread = std::thread::Builder::new()
                .name("http".into())
                .spawn(move || worker::run(make, &runtime, commands, &dispatch, &sink))?;
            if let Ok(threads) = remote.threads.get_mut() {
                threads.push(thread);
            }
        }
        Ok(remote)
    }

    /// Hands requests over; never blocks. Each ends in one output with `end`.
    ///
    /// # Errors
    /// After a shutdown, or once nobody listens to the sink.
    pub fn submit(&self, requests: Vec<Request>) -> Result<(), Closed> {
        self.dispatch.submit(requests)
    }

    /// Ends requests early: each that is still open gets `End::Cancelled` as its one end, and its connection is closed, which
    /// tells the server. Others are ignored.
    pub fn cancel(&self, ids: Vec<RequestId>) {
        self.dispatch.cancel(ids);
    }

    /// What the endpoints are, in the order of the settings.
    pub fn servers(&self) -> &[ServerInfo] {
        &self.servers
    }

    /// How the endpoints differ from each other, a sentence each.
    pub fn differences(&self) -> &[String] {
        &self.differences
    }

    /// What limit of this process was raised, for people.
    pub fn raised_limit(&self) -> Option<&str> {
        self.raised.as_deref()
    }

    /// How it goes.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// Closes all connections, which abandons what is open without an answer, and waits for the threads.
    pub fn shutdown(&self) {
        self.dispatch.stop();
        let threads = self
            .threads
            .lock()
            .map(|mut threads| std::mem::take(&mut *threads));
        for thread in threads.unwrap_or_default() {
            // Its panics were caught and became events.
            let _ = thread.join();
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// Asks every endpoint, on a thread of its own: the caller's may belong to another runtime.
fn probe(settings: &Settings) -> Result<(Vec<Lane>, Vec<ServerInfo>), Error> {
    let connector = tls::connector(&settings.endpoints, settings.ca_file.as_deref())?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let connector = connector.as_ref();
    let ask = || async {
        let (mut lanes, mut servers) = (Vec::new(), Vec::new());
        for endpoint in &settings.endpoints {
            let (lane, info) = open_lane(settings, endpoint, connector).await?;
            lanes.push(lane);
            servers.push(info);
        }
        Ok((lanes, servers))
    };
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| LocalSet::new().block_on(&runtime, ask()));
        asked.join().map_err(|_| Error::Panicked)?
    })
}

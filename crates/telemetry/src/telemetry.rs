//! Starting, watching and ending a measurement.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::board::{Board, Latest, Notes};
use crate::clock::{Anchors, Clock};
use crate::command::Command;
use crate::nvml::NvmlSource;
use crate::power::SourceKind;
use crate::prometheus::Prometheus;
use crate::rapl::Rapl;
use crate::source::{Source, Stop};
use crate::worker::Worker;
use crate::{Error, Settings, Window};

/// The longest that [`Telemetry::stop`] waits for its threads: more than every time limit of a source that keeps one.
pub const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A measurement that goes on. Dropping it ends it as [`Telemetry::stop`] does.
#[derive(Debug)]
pub struct Telemetry {
    watch: Watch,
    stop: Arc<Stop>,
    /// Closed when every thread has ended; `None` once that was waited for.
    threads: Option<Receiver<()>>,
    started: Window,
}

/// Reads how a measurement stands; cheap, from any thread, and after its end too.
#[derive(Clone, Debug)]
pub struct Watch {
    boards: Arc<[Arc<Board>]>,
    clock: Arc<Clock>,
    interval: Duration,
}

/// A measurement that has ended.
#[derive(Debug)]
pub struct Measured {
    pub(crate) sources: Vec<(SourceKind, String, Notes)>,
    pub(crate) anchors: Anchors,
    pub(crate) interval: Duration,
    pub(crate) ended: f64,
    /// From its start to its end, for runs without a window of LoadGen's.
    pub whole: Window,
}

impl Telemetry {
    /// Starts a thread for each source and returns. Nothing is waited for: what a source is like turns out later.
    ///
    /// # Errors
    ///
    /// [`Error::Interval`]. A thread that cannot be started is a source that is left out.
    pub fn start(settings: &Settings) -> Result<Self, Error> {
        settings.check()?;
        let clock = Arc::new(Clock::start());
        let stop = Arc::new(Stop::default());
        let (running, threads) = channel();
        let mut boards = Vec::new();
        let mut start = |kind, name: String, make: Box<Make>| {
            let board = Arc::new(Board::new(kind, name));
            let worker = Worker {
                board: Arc::clone(&board),
                clock: Arc::clone(&clock),
                stop: Arc::clone(&stop),
                interval: settings.interval,
            };
            if let Err(error) = spawn(worker, make, running.clone()) {
                let what = format!("its thread cannot be started: {error}");
                board.notes().fault(0.0, what);
            }
            boards.push(board);
        };
        if let Some(command) = &settings.command {
            let (command, stop, interval) = (command.clone(), Arc::clone(&stop), settings.interval);
            let name = command.to_string();
            let make = move || Box::new(Command::new(command, stop, interval)) as Box<dyn Source>;
            start(SourceKind::Command, name, Box::new(make));
        }
        if let Some(prometheus) = settings.prometheus.clone() {
            let name = prometheus.to_string();
            let make = move || Box::new(Prometheus::new(prometheus)) as Box<dyn Source>;
            start(SourceKind::Prometheus, name, Box::new(make));
        }
        if settings.nvml {
            let library = settings.nvml_library.clone();
            let make = move || Box::new(NvmlSource::new(library)) as Box<dyn Source>;
            start(SourceKind::Nvml, "NVML".into(), Box::new(make));
        }
        if let Some(powercap) = settings.powercap.clone() {
            let make = move || Box::new(Rapl::new(powercap)) as Box<dyn Source>;
            start(SourceKind::Rapl, "RAPL".into(), Box::new(make));
        }
        let watch = Watch {
            boards: boards.into(),
            clock,
            interval: settings.interval,
        };
        Ok(Self {
            watch,
            stop,
            threads: Some(threads),
            started: Window::now(),
        })
    }

    /// A handle for whoever writes down a second.
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// How everything stands now.
    pub fn latest(&self) -> Latest {
        self.watch.latest()
    }

    /// Ends it: each source is read once more, the command's process group is ended. Takes [`STOP_LIMIT`] at most; a thread
    /// that does not come back by then is left behind, and its source counts as hung.
    pub fn stop(mut self) -> Measured {
        // Its sources are read once more after this.
        let whole = self.started.until_now();
        self.end();
        let clock = &self.watch.clock;
        let ended = clock.now();
        let boards = self.watch.boards.iter();
        let sources = boards.map(|board| (board.kind, board.name.clone(), board.notes().clone()));
        Measured {
            sources: sources.collect(),
            anchors: clock.anchors(),
            interval: self.watch.interval,
            ended,
            whole,
        }
    }

    fn end(&mut self) {
        self.stop.ring();
        if let Some(threads) = self.threads.take() {
            // Nothing is ever sent: this waits for all senders to be dropped.
            let _ = threads.recv_timeout(STOP_LIMIT);
        }
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        self.end();
    }
}

impl Watch {
    /// How everything stands now. What was said longer ago than three intervals, and 5 s, is not shown.
    pub fn latest(&self) -> Latest {
        let fresh = (self.interval * 3).max(Duration::from_secs(5));
        let oldest = self.clock.now() - fresh.as_secs_f64();
        let mut latest = Latest::default();
        for board in self.boards.iter() {
            let notes = board.notes();
            latest.power_w = latest.power_w.or_else(|| notes.power_w(oldest));
            let better = match board.kind {
                SourceKind::Nvml => true,
                SourceKind::Prometheus => latest.gpus.is_empty(),
                SourceKind::Command | SourceKind::Rapl => false,
            };
            if better && !notes.devices.is_empty() {
                latest.gpus = notes.gpus(oldest);
            }
        }
        latest
    }
}

/// Makes a source on its own thread: making one may already wait.
type Make = dyn FnOnce() -> Box<dyn Source> + Send;

fn spawn(worker: Worker, make: Box<Make>, running: Sender<()>) -> io::Result<()> {
    let thread = std::thread::Builder::new().name(format!("power {}", worker.board.kind));
    thread.spawn(move || {
        let mut source = make();
        worker.run(&mut *source);
        drop(source);
        drop(running);
    })?;
    Ok(())
}

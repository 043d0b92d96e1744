//! Handing rows to the record's writer, and its end. The writer's thread is in `worker`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use crate::counters::{Counters, Limits};
use crate::row::Row;
use crate::shared::{Message, Outcome, Shared};
use crate::worker::Worker;

/// How much nicer than the run the writer is, where processors are short.
const NICE: i32 = 10;

/// How a record is written.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What samples are counted against.
    pub limits: Limits,
    /// Rows that may be on their way to the writer; further ones are lost until it has caught up. 88 bytes each.
    pub capacity: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            // Three seconds at 20,000 samples/s.
            capacity: 1 << 16,
        }
    }
}

/// Sends rows to the writer; for the thread that answers LoadGen.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// Bounded by `capacity` rows, however many messages they come in.
    inbox: Sender<Message>,
    capacity: u64,
    shared: Arc<Shared>,
}

impl Recorder {
    /// Hands a row over, as [`Recorder::rows`] does.
    pub fn row(&self, row: Row) {
        self.rows(vec![row]);
    }

    /// Whether so many rows would be taken now; rows that are not are lost, and need not be made to be counted.
    pub fn has_room(&self, rows: u64) -> bool {
        self.shared.has_room(rows, self.capacity)
    }

    /// Counts rows as lost that were not made.
    pub fn lose(&self, rows: u64) {
        self.shared.lose(rows);
    }

    /// Hands rows over, which many at a time makes cheaper. Never blocks: when the writer has not kept up, or has ended, the
    /// rows are counted as lost.
    pub fn rows(&self, rows: Vec<Row>) {
        let count = rows.len() as u64;
        let taken =
            self.shared.enter(count, self.capacity) && self.inbox.send(Message::Rows(rows)).is_ok();
        if !taken {
            self.shared.lose(count);
        }
    }
}

/// The writer of a record. Dropped without [`Writer::finish`] it leaves a record that counts as cut.
#[derive(Debug)]
pub struct Writer {
    inbox: Sender<Message>,
    done: Receiver<Outcome>,
    shared: Arc<Shared>,
}

/// Begins the record in `dir`, a directory of one's own without one, on a thread of its own. `counters` is called on that
/// thread once a second and must not wait for anything; it gives `None` before the test has started.
///
/// There is no error: a record that cannot be written has a reason ([`Writer::reason`]), and its rows count as lost.
pub fn begin(
    dir: &Path,
    settings: Settings,
    counters: impl FnMut() -> Option<Counters> + Send + 'static,
) -> (Recorder, Writer) {
    let (inbox, rows) = unbounded();
    let (say, done) = bounded(1);
    let shared = Arc::new(Shared::default());
    let worker_shared = Arc::clone(&shared);
    let (dir, limits) = (dir.to_owned(), settings.limits);
    let thread = std::thread::Builder::new().name("record".into());
    let started = thread.spawn(move || {
        // Of this thread alone: what the run does goes first, and there is room for seconds of rows.
        let _ = rustix::process::nice(NICE);
        let worker = Worker::begin(&dir, limits, worker_shared, Box::new(counters));
        if let Some(outcome) = worker.run(&rows) {
            // Whoever finishes may have waited long enough.
            let _ = say.send(outcome);
        }
    });
    if let Err(error) = started {
        shared.failed(|| format!("no thread to write the record: {error}"));
    }
    let recorder = Recorder {
        inbox: inbox.clone(),
        capacity: settings.capacity as u64,
        shared: Arc::clone(&shared),
    };
    let writer = Writer {
        inbox,
        done,
        shared,
    };
    (recorder, writer)
}

impl Writer {
    /// Rows lost so far.
    pub fn lost(&self) -> u64 {
        self.shared.lost()
    }

    /// What has gone wrong so far, if something has. Names files: escape it where it is shown.
    pub fn reason(&self) -> Option<String> {
        self.shared.reason()
    }

    /// Writes what was sent until now, makes `samples.parquet` and closes the record. Waits for at most `limit`; a writer that
    /// hangs longer, on a disk that does not answer, is left to itself.
    pub fn finish(self, limit: Duration) -> Outcome {
        let until = Instant::now() + limit;
        // The rows before this are written before it is read.
        let asked = self.inbox.send(Message::End);
        let answer = asked.map_err(|_| true).and_then(|()| {
            let answer = self.done.recv_deadline(until);
            answer.map_err(|error| error == RecvTimeoutError::Disconnected)
        });
        answer.unwrap_or_else(|gone| {
            self.shared.failed(|| match gone {
                true => "the record's writer ended with a panic".into(),
                false => format!("the record's writer has not ended after {limit:.1?}"),
            });
            Outcome {
                rows: 0,
                lost: self.lost(),
                reason: self.reason(),
                files: Vec::new(),
            }
        })
    }
}

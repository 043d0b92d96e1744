//! Faults: the run happened, but it may not be trusted. Kept by kind, the first cause first. Any thread may record.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

/// What went wrong; the names appear in verdict.json.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FaultKind {
    /// The engine stopped working.
    Engine,
    /// The engine could not answer a request.
    RequestFailed,
    /// An answer of fewer than two tokens: LoadGen has no time per output token for it.
    ShortAnswer,
    /// Nothing moved for the watchdog's time.
    Stalled,
    /// It could not become VALID any more (`--stop-hopeless`).
    Hopeless,
    /// Somebody ended the run.
    Interrupted,
    /// A sample came after the run had already failed, or was open when it failed.
    NotServed,
    /// A channel between two threads closed while samples were open.
    ChannelClosed,
    /// An answer for a request that was not open.
    UnknownRequest,
    /// A ticket was dropped without an answer.
    DroppedTicket,
    /// A callback or the responder panicked.
    Panic,
    /// The logs could not be written or are not whole.
    Logs,
    /// Something was broken on purpose.
    Drill,
}

/// One kind of fault and how often it happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// The first message of this kind.
    pub(crate) message: String,
    pub(crate) count: u64,
    /// The first few samples (rows of the data set) that it hit.
    pub(crate) samples: Vec<u64>,
}

const SAMPLES_KEPT: usize = 16;

/// All faults of a run.
#[derive(Default, Debug)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Records a fault; `sample` is the data set's row.
    pub(crate) fn record(
        &self,
        kind: FaultKind,
        sample: Option<u64>,
        message: impl FnOnce() -> String,
    ) {
        let mut faults = self.lock();
        let fault = match faults.iter_mut().position(|f| f.kind == kind) {
            Some(at) => &mut faults[at],
            None => {
                faults.push(Fault {
                    kind,
                    message: message(),
                    count: 0,
                    samples: Vec::new(),
                });
                faults.last_mut().expect("just pushed")
            }
        };
        fault.count += 1;
        if let Some(sample) = sample.filter(|_| fault.samples.len() < SAMPLES_KEPT) {
            fault.samples.push(sample);
        }
    }

    pub(crate) fn snapshot(&self) -> Vec<Fault> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        // A poisoned list is still a list: losing a fault would turn an invalid run valid.
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

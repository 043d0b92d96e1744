//! What LoadGen calls: the system under test. Runs on LoadGen's thread and must not block: a
//! query is one message to the responder and one to the generator.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crossbeam_channel::Sender;
use loadgen::{Sample, Samples, SystemUnderTest};
use ossmark_protocol::{Request, RequestId, Sampling, StopTokens, TokenId, request_seed};

use super::faults::FaultKind;
use super::ledger::Arrived;
use super::moment::Moment;
use super::responder::Message;
use ossmark_protocol::Generator;

/// What every request of a run has in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestTemplate {
    pub(crate) sampling: Sampling,
    pub(crate) max_new_tokens: u32,
    /// The run's seed; each request's own is made from it and the issue order.
    pub(crate) seed: u64,
}

/// Turns queries into tickets for the responder and requests for the generator.
pub(crate) struct Sut {
    pub(crate) name: String,
    pub(crate) prompts: Arc<[Arc<[TokenId]>]>,
    pub(crate) template: RequestTemplate,
    pub(crate) generator: Arc<dyn Generator>,
    pub(crate) responder: Sender<Message>,
    /// Set when the run has failed: samples are then only handed to the responder, which answers them as faults.
    pub(crate) failed: Arc<AtomicBool>,
    pub(crate) next: AtomicU64,
}

/// Samples handed on at a time. Offline has all of a test's samples in one query: the engine starts with the first of
/// them, and messages of this size reuse their memory.
const CHUNK: usize = 1024;

impl Sut {
    fn issue_chunk(&self, at: Moment, samples: impl ExactSizeIterator<Item = Sample>) {
        let n = samples.len();
        let first = self.next.fetch_add(n as u64, Relaxed);
        let mut tickets = Vec::with_capacity(n);
        let mut requests = Vec::with_capacity(n);
        for (order, sample) in (first..).zip(samples) {
            requests.push(Request {
                id: RequestId(order),
                prompt: Arc::clone(&self.prompts[sample.index]),
                sampling: self.template.sampling,
                seed: request_seed(self.template.seed, order),
                max_new_tokens: self.template.max_new_tokens,
                want_logits: false,
                stop_tokens: StopTokens::default(),
                ignore_eos: false,
            });
            tickets.push(Arrived {
                row: sample.index as u64,
                scheduled: at.before(sample.late_ns),
                ticket: sample.ticket,
            });
        }
        // Tickets first: an answer must never overtake its ticket. If the responder is gone, the tickets come back in the
        // error and answer for themselves when they are dropped.
        let first = RequestId(first);
        let _ = self.responder.send(Message::Issued {
            first,
            at,
            samples: tickets,
        });
        if self.failed.load(Relaxed) {
            return;
        }
        if let Err(closed) = self.generator.submit(requests) {
            let _ = self
                .responder
                .send(Message::Stop(FaultKind::ChannelClosed, closed.to_string()));
        }
    }
}

impl SystemUnderTest for Sut {
    fn name(&self) -> &str {
        &self.name
    }

    fn issue(&self, mut samples: Samples<'_>) {
        let at = Moment::now();
        while samples.len() > 0 {
            self.issue_chunk(at, samples.by_ref().take(CHUNK));
        }
    }

    /// Nothing is held back, so there is nothing to flush.
    fn flush(&self) {}
}

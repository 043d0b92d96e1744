//! Every open sample: its ticket, its tokens so far, its times. Terminal exactly once: an entry is taken out to be
//! completed, and an answer for an entry that is not there is a fault. Lives on the responder thread.

use std::collections::VecDeque;

use loadgen::{Issued, Streaming, Ticket};
use ossmark_protocol::{RequestId, TokenId};

use super::moment::Moment;

/// A sample that LoadGen has issued.
pub(crate) struct Arrived {
    /// Row of the data set.
    pub(crate) row: u64,
    /// When LoadGen's schedule wanted it issued, which LoadGen counts its latencies from.
    pub(crate) scheduled: Moment,
    pub(crate) ticket: Ticket<Issued>,
}

/// What LoadGen asked for, and when.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    /// Row of the data set.
    pub(crate) sample: u64,
    /// When LoadGen's schedule wanted it issued. Latencies count from here, as LoadGen's do.
    pub(crate) scheduled: Moment,
    pub(crate) issued: Moment,
}

/// A sample that LoadGen waits for.
pub(crate) struct Open {
    pub(crate) asked: Asked,
    pub(crate) state: State,
    /// All tokens so far; the count that LoadGen is told comes from here.
    pub(crate) tokens: Vec<TokenId>,
}

/// Whether LoadGen has been told of the first token.
pub(crate) enum State {
    Waiting(Ticket<Issued>),
    Streaming(Ticket<Streaming>, Moment),
}

/// Open samples by request id. Ids are dense and grow, so a sliding array serves.
#[derive(Default)]
pub(crate) struct Ledger {
    first: u64,
    entries: VecDeque<Option<Open>>,
    open: usize,
}

impl Ledger {
    /// Adds a sample under the next id; ids come in order.
    pub(crate) fn insert(&mut self, id: RequestId, open: Open) {
        if self.entries.is_empty() {
            self.first = id.0;
        }
        debug_assert_eq!(
            id.0,
            self.first + self.entries.len() as u64,
            "request ids are dense"
        );
        self.entries.push_back(Some(open));
        self.open += 1;
    }

    /// Takes a sample out, to be put back or to be completed.
    pub(crate) fn take(&mut self, id: RequestId) -> Option<Open> {
        let at = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        let open = self.entries.get_mut(at)?.take()?;
        self.open -= 1;
        Some(open)
    }

    /// Puts a sample that goes on back under its id.
    pub(crate) fn put_back(&mut self, id: RequestId, open: Open) {
        let at = (id.0 - self.first) as usize;
        debug_assert!(self.entries[at].is_none());
        self.entries[at] = Some(open);
        self.open += 1;
    }

    /// Forgets the completed entries at the front.
    pub(crate) fn trim(&mut self) {
        while let Some(None) = self.entries.front() {
            self.entries.pop_front();
            self.first += 1;
        }
    }

    /// How many samples are open.
    pub(crate) fn len(&self) -> usize {
        self.open
    }

    /// Takes all open samples out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (RequestId, Open)> {
        let first = self.first;
        self.first += self.entries.len() as u64;
        self.open = 0;
        let entries = std::mem::take(&mut self.entries).into_iter();
        (first..)
            .map(RequestId)
            .zip(entries)
            .filter_map(|(id, open)| Some((id, open?)))
    }
}

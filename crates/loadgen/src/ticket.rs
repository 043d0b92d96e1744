//! One sample of a query as a linear value: it is answered exactly once, in order, or the test is marked as faulty.
//! Any thread, within what the types allow.
#![allow(unsafe_code, reason = "calls into LoadGen, each with its reason")]

use std::marker::PhantomData;
use std::mem;
use std::num::NonZeroUsize;

use crate::faults;
use crate::ffi::{self, QuerySample, QuerySampleResponse};

/// The state of a [`Ticket`]: [`Issued`], [`Streaming`] or [`Untimed`].
pub trait State: sealed::Sealed {}

/// A state in which tickets arrive: [`Issued`] or [`Untimed`].
pub trait First: State {}

/// No token has been reported yet.
#[derive(Debug)]
pub struct Issued(());

/// Of a test that times no tokens: the answer is bytes and comes in one piece, from any thread.
#[derive(Debug)]
pub struct Untimed(());

/// The first token has been reported. Not `Send`: LoadGen buffers its log per thread and wants the completion of a sample
/// from the OS thread that reported the first token (from another one: lost latencies, in accuracy mode a crash).
#[derive(Debug)]
pub struct Streaming(PhantomData<*const ()>);

impl State for Issued {}
impl State for Streaming {}
impl State for Untimed {}
impl First for Issued {}
impl First for Untimed {}

mod sealed {
    pub trait Sealed {
        const STREAMING: bool;
    }
    impl Sealed for super::Issued {
        const STREAMING: bool = false;
    }
    impl Sealed for super::Streaming {
        const STREAMING: bool = true;
    }
    impl Sealed for super::Untimed {
        const STREAMING: bool = false;
    }
}

/// The right and the duty to answer one sample, exactly once: [`first_token`](Ticket::first_token), then
/// [`complete`](Ticket::complete); or, where no tokens are timed, [`answer`](Ticket::answer). The same in every scenario: of a
/// stream, the next query comes when all tickets of the one before are used up. Two words, no allocation.
///
/// A dropped ticket is recorded in [`crate::Faults`] and LoadGen gets an empty answer (0 tokens, which LoadGen logs as an
/// error), so that the test can end. A leaked ticket (`mem::forget`) makes it wait for ever.
#[derive(Debug)]
#[must_use = "dropping a ticket makes the run invalid"]
pub struct Ticket<S: State> {
    id: NonZeroUsize,
    index: usize,
    state: PhantomData<S>,
}

impl<S: State> Ticket<S> {
    /// Index of the sample in the [`crate::SampleLibrary`].
    pub fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn into_raw(self) -> (usize, usize) {
        let raw = (self.id.get(), self.index);
        mem::forget(self);
        raw
    }

    /// # Safety
    /// `raw` came from `into_raw` of a ticket that has since reached state `S`, and is used once.
    pub(crate) unsafe fn from_raw(raw: (usize, usize)) -> Ticket<S> {
        let id = NonZeroUsize::new(raw.0).expect("a ticket's id is never zero");
        Ticket {
            id,
            index: raw.1,
            state: PhantomData,
        }
    }
}

impl Ticket<Issued> {
    /// Reports the first token, now. `tokens` are those that exist so far, usually one; LoadGen logs them as `token_data`
    /// in accuracy mode. In Offline, where LoadGen wants no first token, nothing is reported and only the type changes.
    pub fn first_token(self, tokens: &[u32]) -> Ticket<Streaming> {
        let raw = self.into_raw();
        if faults::needs_first_token() {
            let mut response = [response(raw.0, tokens)];
            // SAFETY: `raw` is the ticket just consumed, so LoadGen issued the id and nothing has been reported for it;
            // `tokens` is borrowed over the call.
            unsafe { ffi::first_token_complete(&mut response) };
        }
        // SAFETY: `raw` was consumed above and has had its first token.
        unsafe { Ticket::from_raw(raw) }
    }
}

impl Ticket<Streaming> {
    /// Completes the sample, now, with all its tokens, the first included. LoadGen counts `tokens.len()` and, where it
    /// logs responses, writes the ids as int32 little-endian. Fewer than two tokens are an error in LoadGen's log.
    pub fn complete(self, tokens: &[u32]) {
        let (id, _) = self.into_raw();
        let mut response = [response(id, tokens)];
        // SAFETY: the ticket just consumed had its first token on this thread (a streaming ticket cannot leave it) and was
        // not completed; `tokens` is borrowed over the call.
        unsafe { ffi::samples_complete(&mut response) };
    }
}

impl Ticket<Untimed> {
    /// Completes the sample, now, with an answer that LoadGen writes into its accuracy log as it is, in hexadecimal. It has a
    /// name of its own so that bytes are never taken for tokens.
    pub fn answer(self, data: &[u8]) {
        let (id, _) = self.into_raw();
        let mut response = [bytes_response(id, data)];
        // SAFETY: the ticket just consumed was not completed, and the test wants no first token; `data` is borrowed over the
        // call.
        unsafe { ffi::samples_complete(&mut response) };
    }
}

impl<S: State> Drop for Ticket<S> {
    fn drop(&mut self) {
        faults::dropped(S::STREAMING, self.index);
        let mut response = [response(self.id.get(), &[])];
        if !S::STREAMING && faults::needs_first_token() {
            // SAFETY: an issued ticket has had nothing reported; there is no data.
            unsafe { ffi::first_token_complete(&mut response) };
        }
        // SAFETY: the ticket was not completed (that consumes it without Drop) and its first token came from this thread:
        // just now, or earlier, since a streaming ticket cannot leave its thread.
        unsafe { ffi::samples_complete(&mut response) };
    }
}

pub(crate) fn response(id: usize, tokens: &[u32]) -> QuerySampleResponse {
    QuerySampleResponse {
        id,
        data: tokens.as_ptr().expose_provenance(),
        size: mem::size_of_val(tokens),
        n_tokens: tokens.len() as i64,
    }
}

pub(crate) fn bytes_response(id: usize, data: &[u8]) -> QuerySampleResponse {
    QuerySampleResponse {
        id,
        data: data.as_ptr().expose_provenance(),
        size: data.len(),
        n_tokens: 0,
    }
}

/// One sample of a query.
#[derive(Debug)]
pub struct Sample<S: First = Issued> {
    /// Index in the [`crate::SampleLibrary`]; it is among those loaded.
    pub index: usize,
    /// How many nanoseconds before LoadGen handed the query over its schedule wanted the sample issued, on LoadGen's own
    /// clock. LoadGen counts every latency from then.
    pub late_ns: u64,
    /// The right to answer it.
    pub ticket: Ticket<S>,
}

/// The samples of one query, in LoadGen's order. Nothing is allocated. Dropping it drops the tickets not taken.
#[derive(Debug)]
pub struct Samples<'q, S: First = Issued> {
    rest: std::slice::Iter<'q, QuerySample>,
    /// LoadGen's clock when it handed them over.
    now_ns: i64,
    state: PhantomData<S>,
}

impl<'q, S: First> Samples<'q, S> {
    /// # Safety
    /// `samples` is a query that LoadGen has just issued, of a test whose tickets arrive as `S`, and no other `Samples` is made
    /// of it.
    pub(crate) unsafe fn new(samples: &'q [QuerySample], now_ns: i64) -> Samples<'q, S> {
        Samples {
            rest: samples.iter(),
            now_ns,
            state: PhantomData,
        }
    }
}

impl<S: First> Iterator for Samples<'_, S> {
    type Item = Sample<S>;

    fn next(&mut self) -> Option<Sample<S>> {
        let sample = self.rest.next()?;
        // SAFETY: LoadGen issued this id, and nobody has had its ticket yet.
        let scheduled_ns = unsafe { ffi::scheduled_ns(sample.id) };
        // SAFETY: LoadGen issued this id, and the iterator passes each of them only once.
        let ticket = unsafe { Ticket::from_raw((sample.id, sample.index)) };
        let late_ns = self.now_ns.saturating_sub(scheduled_ns);
        Some(Sample {
            index: sample.index,
            // A clock that was set back in between would make it negative.
            late_ns: u64::try_from(late_ns).unwrap_or(0),
            ticket,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rest.size_hint()
    }
}

impl<S: First> ExactSizeIterator for Samples<'_, S> {}

impl<S: First> Drop for Samples<'_, S> {
    fn drop(&mut self) {
        for sample in self {
            drop(sample);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ResponseBuffer, faults};

    /// Nothing in Offline's logs would show a first token, so that this is shown by an id that LoadGen must never see.
    #[test]
    fn offline_reports_no_first_token() {
        assert!(
            faults::claim_test(false),
            "the only test in here that starts one"
        );
        // SAFETY: the ids are made up, but no call into LoadGen is made with them: the tickets are taken apart again.
        let [one, two] = [16, 32].map(|id| unsafe { Ticket::<Issued>::from_raw((id, 7)) });
        assert_eq!(one.first_token(&[1]).into_raw(), (16, 7));
        let mut buffer = ResponseBuffer::new();
        let mut batch = buffer.first_tokens();
        batch.push(two, &[1]);
        let raw: Vec<_> = batch.send().map(Ticket::into_raw).collect();
        assert_eq!(raw, [(32, 7)]);
    }
}

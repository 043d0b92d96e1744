//! Many tickets answered by one call into LoadGen: all samples of a batch get the same timestamp, as they should when one
//! engine step produced them. Any thread, within what the ticket types allow.
#![allow(unsafe_code, reason = "calls into LoadGen, each with its reason")]

use std::fmt;
use std::marker::PhantomData;

use crate::faults;
use crate::ffi::{self, QuerySampleResponse};
use crate::ticket::{Issued, Streaming, Ticket, bytes_response, response};

/// Reusable memory for batches, so that a step allocates nothing. Holds nothing between batches.
#[derive(Default)]
pub struct ResponseBuffer {
    responses: Vec<QuerySampleResponse>,
    indices: Vec<usize>,
}

impl ResponseBuffer {
    /// An empty buffer; it grows to the largest batch.
    pub fn new() -> ResponseBuffer {
        ResponseBuffer::default()
    }

    /// A batch of first tokens.
    pub fn first_tokens(&mut self) -> FirstTokens<'_> {
        self.clear();
        FirstTokens {
            buffer: self,
            next: 0,
            sent: false,
            tokens: PhantomData,
        }
    }

    /// A batch of completions.
    pub fn completions(&mut self) -> Completions<'_> {
        self.clear();
        Completions {
            buffer: self,
            tokens: PhantomData,
        }
    }

    /// Whatever is left here was in a leaked batch (`mem::forget`), and may not be answered from this thread.
    pub(crate) fn clear(&mut self) {
        self.responses.clear();
        self.indices.clear();
    }

    fn push(&mut self, (id, index): (usize, usize), tokens: &[u32]) {
        self.responses.push(response(id, tokens));
        self.indices.push(index);
    }

    pub(crate) fn push_bytes(&mut self, (id, index): (usize, usize), data: &[u8]) {
        self.responses.push(bytes_response(id, data));
        self.indices.push(index);
    }

    pub(crate) fn responses(&mut self) -> &mut [QuerySampleResponse] {
        &mut self.responses
    }

    pub(crate) fn len(&self) -> usize {
        self.responses.len()
    }

    pub(crate) fn raw(&self, at: usize) -> (usize, usize) {
        (self.responses[at].id, self.indices[at])
    }
}

impl fmt::Debug for ResponseBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBuffer")
            .field("len", &self.len())
            .finish()
    }
}

/// First tokens to be reported together. Dropped without [`send`](FirstTokens::send), its tickets are dropped.
#[derive(Debug)]
pub struct FirstTokens<'a> {
    buffer: &'a mut ResponseBuffer,
    /// Tickets before this one have left as streaming tickets; 0 until sent.
    next: usize,
    sent: bool,
    tokens: PhantomData<&'a [u32]>,
}

impl<'a> FirstTokens<'a> {
    /// Adds a ticket with the tokens that exist so far; see [`Ticket::first_token`].
    pub fn push(&mut self, ticket: Ticket<Issued>, tokens: &'a [u32]) {
        self.buffer.push(ticket.into_raw(), tokens);
    }

    /// Number of tickets pushed.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// True when nothing has been pushed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reports all first tokens in one call (none in Offline) and gives the tickets back in the order of the pushes.
    pub fn send(mut self) -> StreamingTickets<'a> {
        if faults::needs_first_token() && !self.is_empty() {
            // SAFETY: every response came from an issued ticket consumed by `push`, and its tokens are borrowed for 'a,
            // which is not over.
            unsafe { ffi::first_token_complete(&mut self.buffer.responses) };
        }
        self.sent = true;
        StreamingTickets {
            batch: self,
            thread: PhantomData,
        }
    }

    fn take_next(&mut self) -> Option<(usize, usize)> {
        if self.next == self.buffer.len() {
            return None;
        }
        self.next += 1;
        Some(self.buffer.raw(self.next - 1))
    }
}

impl Drop for FirstTokens<'_> {
    fn drop(&mut self) {
        while let Some(raw) = self.take_next() {
            // SAFETY: `raw` came from a ticket consumed by `push` and is taken once. If it was sent, this batch is inside
            // a `StreamingTickets` and still on the thread that sent it.
            unsafe {
                if self.sent {
                    drop(Ticket::<Streaming>::from_raw(raw));
                } else {
                    drop(Ticket::<Issued>::from_raw(raw));
                }
            }
        }
        self.buffer.clear();
    }
}

/// The tickets of a sent [`FirstTokens`], in the order of the pushes. Dropping it drops the tickets not taken.
#[derive(Debug)]
pub struct StreamingTickets<'a> {
    batch: FirstTokens<'a>,
    /// As [`Streaming`]: not `Send`.
    thread: PhantomData<*const ()>,
}

impl Iterator for StreamingTickets<'_> {
    type Item = Ticket<Streaming>;

    fn next(&mut self) -> Option<Ticket<Streaming>> {
        let raw = self.batch.take_next()?;
        // SAFETY: `raw` came from an issued ticket, its first token has been reported on this thread, it is taken once.
        Some(unsafe { Ticket::from_raw(raw) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let rest = self.batch.len() - self.batch.next;
        (rest, Some(rest))
    }
}

impl ExactSizeIterator for StreamingTickets<'_> {}

/// Completions to be reported together. Dropped without [`send`](Completions::send), its tickets are dropped.
#[derive(Debug)]
pub struct Completions<'a> {
    buffer: &'a mut ResponseBuffer,
    /// As [`Streaming`]: not `Send`.
    tokens: PhantomData<(&'a [u32], *const ())>,
}

impl<'a> Completions<'a> {
    /// Adds a ticket with all its tokens, the first included; see [`Ticket::complete`].
    pub fn push(&mut self, ticket: Ticket<Streaming>, tokens: &'a [u32]) {
        self.buffer.push(ticket.into_raw(), tokens);
    }

    /// Number of tickets pushed.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// True when nothing has been pushed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Completes all samples in one call.
    pub fn send(self) {
        if !self.is_empty() {
            // SAFETY: every response came from a streaming ticket consumed by `push`; such tickets and this batch never
            // leave their thread; the tokens are borrowed for 'a, which is not over.
            unsafe { ffi::samples_complete(&mut self.buffer.responses) };
        }
        // So that Drop finds nothing left to answer.
        self.buffer.clear();
    }
}

impl Drop for Completions<'_> {
    fn drop(&mut self) {
        for at in 0..self.buffer.len() {
            // SAFETY: `raw` came from a streaming ticket consumed by `push` on this thread and was not sent.
            drop(unsafe { Ticket::<Streaming>::from_raw(self.buffer.raw(at)) });
        }
        self.buffer.clear();
    }
}

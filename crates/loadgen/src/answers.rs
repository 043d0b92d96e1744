//! Many untimed tickets answered by one call into LoadGen, as [`Completions`](crate::Completions) are. Any thread.
#![allow(unsafe_code, reason = "calls into LoadGen, each with its reason")]

use crate::batch::ResponseBuffer;
use crate::ffi;
use crate::ticket::{Ticket, Untimed};

/// Answers to be reported together: all samples get the same time stamp. Dropped without [`send`](Answers::send), its tickets
/// are dropped.
#[derive(Debug)]
pub struct Answers<'a> {
    buffer: &'a mut ResponseBuffer,
    data: std::marker::PhantomData<&'a [u8]>,
}

impl ResponseBuffer {
    /// A batch of answers.
    pub fn answers(&mut self) -> Answers<'_> {
        self.clear();
        Answers {
            buffer: self,
            data: std::marker::PhantomData,
        }
    }
}

impl<'a> Answers<'a> {
    /// Adds a ticket with its answer; see [`Ticket::answer`].
    pub fn push(&mut self, ticket: Ticket<Untimed>, data: &'a [u8]) {
        self.buffer.push_bytes(ticket.into_raw(), data);
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
            // SAFETY: every response came from an untimed ticket consumed by `push`; the data is borrowed for 'a, which is
            // not over.
            unsafe { ffi::samples_complete(self.buffer.responses()) };
        }
        // So that Drop finds nothing left to answer.
        self.buffer.clear();
    }
}

impl Drop for Answers<'_> {
    fn drop(&mut self) {
        for at in 0..self.buffer.len() {
            // SAFETY: `raw` came from an untimed ticket consumed by `push` and was not sent.
            drop(unsafe { Ticket::<Untimed>::from_raw(self.buffer.raw(at)) });
        }
        self.buffer.clear();
    }
}

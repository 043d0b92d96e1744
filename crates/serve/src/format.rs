//! How an interface writes answers, and what all of them write alike.

use crate::answer_buffer::AnswerDelta;

/// Writes the answers to one request; it knows how many there are, and hears of each by its index.
pub(crate) trait Format: Send + Unpin + 'static {
    /// One event for what is new of answer `index`; `delta.finish_reason` is a failure never.
    fn event(&mut self, index: usize, delta: &AnswerDelta, out: &mut Vec<u8>);
    /// What comes between the last answer's end and `[DONE]`.
    fn finish(&mut self, _: &mut Vec<u8>) {}
    /// The whole response, as JSON, to a request that does not stream.
    fn whole(&mut self, answers: &[AnswerDelta], out: &mut Vec<u8>);
}

/// `data: …` and the empty line; the data must hold no line end, which JSON never does.
pub(crate) fn write_event(out: &mut Vec<u8>, data: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"data: ");
    data(out);
    out.extend_from_slice(b"\n\n");
}

/// Appends a value as JSON.
pub(crate) fn write_json<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Neither a vector nor the plain types of the answers can fail.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}

//! How an interface writes answers, and what all interfaces write alike.

use crate::answer_delta::AnswerDelta;

/// Writes the answers to one request; each answer is named by its index.
pub(crate) trait AnswerFormat: Send + Unpin + 'static {
    /// One event for what is new of answer `index`; `delta.finish_reason` is never a failure.
    fn write_event(&mut self, index: usize, delta: &AnswerDelta, out: &mut Vec<u8>);
    /// What comes between the last answer's end and `[DONE]`.
    fn write_end(&mut self, _: &mut Vec<u8>) {}
    /// The whole response, as JSON, to a request that does not stream.
    fn write_response(&mut self, answers: &[AnswerDelta], out: &mut Vec<u8>);
}

/// `data: …` and the empty line; the data must hold no line end, which JSON never does.
pub(crate) fn write_sse(out: &mut Vec<u8>, data: impl FnOnce(&mut Vec<u8>)) {
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

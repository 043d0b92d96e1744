//! Rows for tests.

use ossmark_record::{End, Row};

/// A sample issued at `second` tenths of a second, with its TTFT and TPOT in milliseconds.
pub(crate) fn row(request: u64, ttft_ms: i64, tpot_ms: i64, output_tokens: u32) -> Row {
    let issued = request as i64 * 100_000_000;
    let first = issued + ttft_ms * 1_000_000;
    Row {
        request,
        sample_index: request as u32,
        prompt_tokens: 100 + (request % 50) as u32,
        output_tokens,
        scheduled_ns: Some(issued),
        issued_ns: Some(issued + 1000),
        first_token_ns: Some(first),
        completed_ns: Some(first + tpot_ms * 1_000_000 * (i64::from(output_tokens) - 1)),
        end: End::Stop,
        engine: 0,
    }
}

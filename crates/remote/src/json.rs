//! Pieces of JSON that all APIs have: ids in a request, errors in an answer.

use ossmark_protocol::TokenId;

use crate::quote::{quote, quote_bytes};

/// Appends a list of ids.
pub(crate) fn push_ids(body: &mut Vec<u8>, ids: &[TokenId]) {
    let mut digits = itoa::Buffer::new();
    body.push(b'[');
    for (i, id) in ids.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        body.extend_from_slice(digits.format(*id).as_bytes());
    }
    body.push(b']');
}

/// The message of an error object, which servers put where an answer should be.
pub(crate) fn error_text(error: &serde_json::Value) -> String {
    let message = error["message"].as_str().or(error.as_str());
    let text = message.map_or_else(|| error.to_string(), str::to_owned);
    format!("the server reported: {}", quote(&text))
}

/// Where JSON that a server sent stops making sense.
pub(crate) fn bad_json(error: &serde_json::Error, body: &[u8]) -> String {
    format!(
        "not the JSON that this API answers with ({}): {}",
        // Names what it found, whole.
        quote(&error.to_string()),
        quote_bytes(body)
    )
}

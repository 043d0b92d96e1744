//! Events as the client writes them, one object a line.

use std::io::Write;

use super::STAMP;

/// The beginning of a line: kind, nanoseconds, sample (empty for the session).
fn begin(to: &mut Vec<u8>, kind: &str, ns: i64, uuid: &str) {
    // Writing into memory cannot fail, here and below.
    let _ = write!(
        to,
        r#"{{"event_type":"{kind}","timestamp_ns":{ns},"sample_uuid":"{uuid}","conversation_id":"","turn":null,"data":"#
    );
}

fn text(to: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(to, text);
}

pub(super) fn session(to: &mut Vec<u8>, kind: &str, ns: i64) {
    begin(to, kind, ns, "");
    to.extend_from_slice(b"null");
    if kind == "session.started" {
        to.extend_from_slice(b",\"rehearsal\":");
        text(to, STAMP);
    }
    to.extend_from_slice(b"}\n");
}

/// `prompt`: its ids as a JSON list.
pub(super) fn issued(to: &mut Vec<u8>, ns: i64, uuid: &str, prompt: &str) {
    begin(to, "sample.issued", ns, uuid);
    let _ = writeln!(
        to,
        r#"["PromptData",null,{prompt},null,null,null,null,null]}}"#
    );
}

pub(super) fn first(to: &mut Vec<u8>, ns: i64, uuid: &str) {
    begin(to, "sample.recv_first", ns, uuid);
    to.extend_from_slice(b"null}\n");
}

/// `pieces`: the first fragment and the rest, as far as they have a text.
pub(super) fn complete(to: &mut Vec<u8>, ns: i64, uuid: &str, pieces: &[&str], reason: &str) {
    begin(to, "sample.complete", ns, uuid);
    to.extend_from_slice(b"[\"TextModelOutput\",");
    let _ = serde_json::to_writer(&mut *to, pieces);
    let _ = writeln!(
        to,
        r#",null,null],"finish_reason":"{reason}","worker_id":0}}"#
    );
}

/// The client writes the error first, and then that the sample is complete.
pub(super) fn failed(to: &mut Vec<u8>, ns: i64, uuid: &str, message: &str) {
    begin(to, "error.generic", ns, uuid);
    to.extend_from_slice(b"[\"ErrorData\",\"error\",");
    text(to, message);
    to.extend_from_slice(b"]}\n");
    begin(to, "sample.complete", ns, uuid);
    to.extend_from_slice(b"null,\"worker_id\":0}\n");
}

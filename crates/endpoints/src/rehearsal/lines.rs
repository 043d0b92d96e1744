//! Events as the client writes them, one object a line.

use std::io::Write;

use super::STAMP;

/// What a request asks.
#[derive(Clone, Copy, Debug)]
pub enum Prompt<'a> {
    /// Its ids, as a JSON list.
    Ids(&'a str),
    /// What the user says (the chat API).
    Text(&'a str),
}

/// What came back: of each the first fragment and the rest, as far as they have a text.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a> {
    /// Of the chat API.
    pub thoughts: &'a [&'a str],
    /// All of a completion.
    pub content: &'a [&'a str],
}

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

pub(super) fn issued(to: &mut Vec<u8>, ns: i64, uuid: &str, prompt: Prompt<'_>) {
    begin(to, "sample.issued", ns, uuid);
    to.extend_from_slice(b"[\"PromptData\",");
    match prompt {
        Prompt::Text(said) => {
            text(to, said);
            to.extend_from_slice(b",null");
        }
        Prompt::Ids(list) => {
            let _ = write!(to, "null,{list}");
        }
    }
    to.extend_from_slice(b",null,null,null,null,null]}\n");
}

pub(super) fn first(to: &mut Vec<u8>, ns: i64, uuid: &str) {
    begin(to, "sample.recv_first", ns, uuid);
    to.extend_from_slice(b"null}\n");
}

pub(super) fn complete(to: &mut Vec<u8>, ns: i64, uuid: &str, answer: &Pieces<'_>, reason: &str) {
    begin(to, "sample.complete", ns, uuid);
    to.extend_from_slice(b"[\"TextModelOutput\",");
    if answer.thoughts.is_empty() {
        let _ = serde_json::to_writer(&mut *to, answer.content);
        to.extend_from_slice(b",null");
    } else {
        // The first fragment is the reasoning's: of the content none is told apart.
        text(to, &answer.content.concat());
        to.push(b',');
        let _ = serde_json::to_writer(&mut *to, answer.thoughts);
    }
    let _ = writeln!(to, r#",null],"finish_reason":"{reason}","worker_id":0}}"#);
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

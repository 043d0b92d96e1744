//! The answers of a run, from its log.

use std::io::{self, Error, ErrorKind};
use std::path::Path;

use crate::client::{Answer, EVENTS, read_log};

/// One answer of those that have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its request.
    pub uuid: String,
    /// All of it; empty where it failed.
    pub text: String,
    /// It ended with the model's stop token.
    pub is_stop: bool,
    /// There is none.
    pub failed: bool,
}

/// An answer of the chat API, as graders know answers.
fn harmony(thoughts: &str, content: &str) -> String {
    format!(
        "<|channel|>analysis<|message|>{thoughts}<|end|><|start|>assistant<|channel|>final<|message|>{content}"
    )
}

/// Reads them, in the order in which they ended.
///
/// # Errors
/// A log that is damaged; those of reading.
pub fn answers(dir: &Path) -> io::Result<Vec<Answered>> {
    let mut all = Vec::new();
    let read = read_log(&dir.join(EVENTS), |event, _| {
        if event.event_type == "sample.complete" {
            let text = match event.answer() {
                Some(Answer::Text { whole, .. }) => Some(whole),
                Some(Answer::Reasoned {
                    thoughts, content, ..
                }) => Some(harmony(&thoughts, &content)),
                Some(Answer::Structured) | None => None,
            };
            all.push(Answered {
                failed: text.is_none(),
                text: text.unwrap_or_default(),
                is_stop: event.finish_reason.as_deref() == Some("stop"),
                uuid: event.sample_uuid,
            });
        }
        Ok(())
    });
    match read {
        Ok(()) => Ok(all),
        Err(damage) => Err(Error::new(
            ErrorKind::InvalidData,
            format!("{EVENTS}, line {}: {}", damage.line, damage.why),
        )),
    }
}

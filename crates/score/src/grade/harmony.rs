//! The final section of a Harmony output.
//!
//! Owns: which part of an output the reference takes for the final answer. Does not own: what is looked for in it. Pure.

use super::Quirk;
use ossmark_python::strip;

const FINAL: &str = "<|channel|>final";
const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";
const RETURN: &str = "<|return|>";

/// The content of the first final section, up to `<|return|>` or the end, stripped; `None` without one, where the reference
/// searches the whole text. Between `final` and `<|message|>` anything without a `<` may stand.
pub(super) fn final_section<'a>(text: &'a str, quirks: &mut Vec<Quirk>) -> Option<&'a str> {
    let Some((junk, body)) = next_final(text) else {
        if text.contains(CHANNEL) {
            quirks.push(Quirk::NoFinalSection);
        }
        return None;
    };
    if !strip(junk).is_empty() {
        quirks.push(Quirk::JunkInFinalMarker);
    }
    if next_final(body).is_some() {
        quirks.push(Quirk::SeveralFinalSections);
    }
    Some(strip(body.split(RETURN).next().unwrap_or(body)))
}

/// What stands between `final` and `<|message|>`, and everything after.
fn next_final(text: &str) -> Option<(&str, &str)> {
    let mut rest = text;
    while let Some(at) = rest.find(FINAL) {
        rest = &rest[at + FINAL.len()..];
        let marker = rest.find('<')?;
        if let Some(body) = rest[marker..].strip_prefix(MESSAGE) {
            return Some((&rest[..marker], body));
        }
    }
    None
}

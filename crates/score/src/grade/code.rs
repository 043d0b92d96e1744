//! The program in an answer to a LiveCodeBench problem.
//!
//! Owns: which fenced block is taken. Does not own: running it. Pure functions in linear time; any thread.

use super::{Quirk, harmony};
use ossmark_python::{is_space, strip};

const FENCE: &str = "```";
const PYTHON_FENCE: &str = "```python";

/// The last of the blocks that run from `open` to the next fence, read from the start so that they do not overlap.
fn last_block<'a>(text: &'a str, open: &str) -> Option<&'a str> {
    let mut rest = text;
    let mut last = None;
    while let Some((_, after)) = rest.split_once(open) {
        let Some((block, after)) = after.split_once(FENCE) else {
            break;
        };
        last = Some(strip(block));
        rest = after;
    }
    last
}

/// `^(?:python|py)\s*\n` in any case, cut off: a language tag on its own line, and blank lines after it.
fn without_tag(code: &str) -> &str {
    for tag in ["python", "py"] {
        let Some((head, rest)) = code.split_at_checked(tag.len()) else {
            continue;
        };
        if head.eq_ignore_ascii_case(tag) {
            let blank = rest.len() - rest.trim_start_matches(is_space).len();
            if let Some(newline) = rest[..blank].rfind('\n') {
                return &rest[newline + 1..];
            }
        }
    }
    code
}

fn block(text: &str) -> Option<String> {
    last_block(text, PYTHON_FENCE)
        .or_else(|| last_block(text, FENCE).map(without_tag))
        .map(str::to_owned)
}

/// The program in a stripped output: from the final section, or else from all of it.
pub(super) fn extract(text: &str, quirks: &mut Vec<Quirk>) -> Option<String> {
    let section = harmony::final_section(text, quirks);
    section.and_then(block).or_else(|| {
        let found = block(text);
        if found.is_some() && section.is_some() {
            quirks.push(Quirk::OutsideFinalSection);
        }
        found
    })
}

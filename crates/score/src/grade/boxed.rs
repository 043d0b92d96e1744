//! Boxed answers: AIME's integers and math500's expressions.
//!
//! Owns: what is taken for the answer. Does not own: comparing it. Pure functions in linear time; any thread.

use super::{Quirk, harmony};
use ossmark_python::{self as python, IntDigits, is_word, skip_spaces, strip};

const BOXED: &str = "\\boxed{";

/// The digits of any script at the start of `text`, and what follows.
fn digits_here(text: &str) -> Option<(&str, &str)> {
    let rest = text.trim_start_matches(|c| python::digit(c).is_some());
    let length = text.len() - rest.len();
    (length > 0).then(|| text.split_at(length))
}

/// `\\boxed{\s*(\d+)\s*}`: the last one, with its place.
fn last_boxed_digits(text: &str) -> Option<(usize, &str)> {
    text.rmatch_indices(BOXED).find_map(|(at, _)| {
        let (digits, rest) = digits_here(skip_spaces(&text[at + BOXED.len()..]))?;
        skip_spaces(rest).starts_with('}').then_some((at, digits))
    })
}

/// `Answer:\s*(\d+)(?!\.)\b` in any case: the last one. Between two digits there is no boundary, so the pattern cannot
/// give digits back.
fn last_labelled_digits(text: &str) -> Option<(usize, &str)> {
    text.rmatch_indices(':').find_map(|(colon, _)| {
        let mut before = text[..colon].chars();
        let named = b"rewsna".iter().all(|&wanted| {
            before.next_back().is_some_and(|c| {
                c.to_ascii_lowercase() == char::from(wanted) || (c == 'ſ' && wanted == b's')
            })
        });
        let (digits, rest) = digits_here(skip_spaces(&text[colon + 1..])).filter(|_| named)?;
        (!rest.starts_with(|c| c == '.' || is_word(c))).then_some((before.as_str().len(), digits))
    })
}

/// AIME: the last boxed number anywhere in the stripped output, or else the last labelled one; nothing if it is over 999.
pub(super) fn aime(text: &str, limit: IntDigits, quirks: &mut Vec<Quirk>) -> Option<u16> {
    let (at, digits) = last_boxed_digits(text).or_else(|| last_labelled_digits(text))?;
    // The reference never looks for a final section here.
    let mut ignored = Vec::new();
    if let Some(section) = harmony::final_section(text, &mut ignored) {
        let start = section.as_ptr() as usize - text.as_ptr() as usize;
        if !(start..start + section.len()).contains(&at) {
            quirks.push(Quirk::OutsideFinalSection);
        }
    }
    if !limit.allows(digits.chars().count()) {
        return None;
    }
    let mut value = 0;
    for digit in digits.chars().filter_map(python::digit) {
        value = value * 10 + u16::from(digit);
        if value > 999 {
            return None;
        }
    }
    Some(value)
}

/// math500: the content of the last `\boxed{…}` with its braces balanced, stripped; nothing if that one is not closed.
pub(super) fn expression(text: &str) -> Option<&str> {
    let content = &text[text.rfind(BOXED)? + BOXED.len()..];
    let mut depth = 0usize;
    for (at, byte) in content.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(strip(&content[..at])),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

//! Multiple choice: GPQA (A to D) and MMLU (A to J).
//!
//! Owns: the four patterns of the reference, hand-written so that they take linear time on any output. Does not own:
//! comparing with the right answer. Pure functions; any thread.

use super::{Quirk, harmony};
use ossmark_python::{is_space, is_word, skip_spaces, strip, upper};

/// The ASCII letter that `c` matches under `re.IGNORECASE`, in lower case. Beside ASCII these are İ and ı (i), ſ (s) and the
/// Kelvin sign (k): CPython compares simple lower cases and adds its table of equivalents.
fn letter(c: char) -> Option<u8> {
    match c {
        'a'..='z' => Some(c as u8),
        'A'..='Z' => Some(c.to_ascii_lowercase() as u8),
        'İ' | 'ı' => Some(b'i'),
        'ſ' => Some(b's'),
        '\u{212a}' => Some(b'k'),
        _ => None,
    }
}

fn is_option(c: char, last: u8) -> bool {
    letter(c).is_some_and(|letter| letter <= last)
}

fn first(text: &str) -> Option<char> {
    text.chars().next()
}

fn starts_with_word_char(text: &str) -> bool {
    first(text).is_some_and(is_word)
}

fn ends_with_word_char(text: &str) -> bool {
    text.chars().next_back().is_some_and(is_word)
}

fn skip_one<'a>(text: &'a str, any_of: &[char]) -> &'a str {
    text.strip_prefix(any_of).unwrap_or(text)
}

/// What follows "answer" in any case, for each place where it stands. The first letter has no equivalents outside ASCII.
fn answer_at(text: &str, at: usize) -> Option<&str> {
    let mut chars = text[at..].chars();
    b"answer"
        .iter()
        .all(|&wanted| chars.next().and_then(letter) == Some(wanted))
        .then_some(chars.as_str())
}

fn places_of_a(text: &str) -> impl DoubleEndedIterator<Item = usize> {
    text.bytes()
        .enumerate()
        .filter(|(_, byte)| byte.eq_ignore_ascii_case(&b'a'))
        .map(|(at, _)| at)
}

/// An option at the very start of `text`, and what follows it.
fn option_here(text: &str, last: u8) -> Option<(char, &str)> {
    let c = first(text).filter(|&c| is_option(c, last))?;
    Some((c, &text[c.len_utf8()..]))
}

/// `^[^a-zA-Z]*([A-J])(?:[^a-zA-Z]|$)`: the first letter of the text, alone.
fn leading(text: &str, last: u8, quirks: &mut Vec<Quirk>) -> Option<char> {
    let (c, rest) = option_here(text.trim_start_matches(|c| letter(c).is_none()), last)?;
    if first(rest).is_some_and(|next| letter(next).is_some()) {
        return None;
    }
    let word_follows = rest.starts_with(is_space)
        && first(skip_spaces(rest)).is_some_and(|next| letter(next).is_some());
    if word_follows && matches!(letter(c), Some(b'a' | b'i')) {
        quirks.push(Quirk::WordAsChoice);
    }
    Some(c)
}

/// `\b(?:Answer|ANSWER)\s*[:.]?\s*([A-J])\b`: the first one.
fn labelled(text: &str, last: u8) -> Option<char> {
    places_of_a(text).find_map(|at| {
        let rest = answer_at(text, at).filter(|_| !ends_with_word_char(&text[..at]))?;
        let rest = skip_spaces(skip_one(skip_spaces(rest), &[':', '.']));
        option_here(rest, last)
            .filter(|(_, after)| !starts_with_word_char(after))
            .map(|(c, _)| c)
    })
}

/// `\b(?:ANSWER|FINAL\s*ANSWER)\b\s*[:=]?\s*(?:\(?\s*([A-J])\s*\)?)(?:\s*$|[^A-Za-z])`: the last one. Whatever follows the
/// option and is no letter satisfies the end of the pattern, and a match never reaches into the next one.
fn last_labelled(text: &str, last: u8) -> Option<char> {
    places_of_a(text).rev().find_map(|at| {
        let rest = answer_at(text, at).filter(|rest| !starts_with_word_char(rest))?;
        let rest = skip_spaces(skip_one(skip_spaces(rest), &[':', '=']));
        let (c, after) = option_here(skip_spaces(skip_one(rest, &['('])), last)?;
        let ends = first(after).is_none_or(|next| letter(next).is_none());
        (ends && (!ends_with_word_char(&text[..at]) || ends_with_final(&text[..at]))).then_some(c)
    })
}

/// `\bFINAL\s*` at the end of `text`.
fn ends_with_final(text: &str) -> bool {
    let mut chars = text.trim_end_matches(is_space).chars();
    b"lanif"
        .iter()
        .all(|&wanted| chars.next_back().and_then(letter) == Some(wanted))
        && !ends_with_word_char(chars.as_str())
}

/// `\b([A-J])\b`: the last one.
fn last_alone(text: &str, last: u8) -> Option<char> {
    text.char_indices().rev().find_map(|(at, c)| {
        let alone = is_option(c, last)
            && !ends_with_word_char(&text[..at])
            && !starts_with_word_char(&text[at + c.len_utf8()..]);
        alone.then_some(c)
    })
}

/// `\*\*([^*]+)\*\*` replaced by what it encloses.
fn without_bold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find("**") {
        let inner = &rest[open + 2..];
        let length = inner.find('*').unwrap_or(inner.len());
        match inner[length..].strip_prefix("**") {
            Some(after) if length > 0 => {
                out.push_str(&rest[..open]);
                out.push_str(&inner[..length]);
                rest = after;
            }
            // The stars may open a pair one place further on.
            _ => {
                out.push_str(&rest[..=open]);
                rest = &rest[open + 1..];
            }
        }
    }
    out + rest
}

/// Newlines and apostrophes that were escaped on the way into the log.
fn unescaped(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\'", "'")
}

/// The choice in a stripped output, in upper case; `last` is the last option in lower case.
pub(super) fn extract(text: &str, last: u8, quirks: &mut Vec<Quirk>) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let section = harmony::final_section(text, quirks);
    let bold = without_bold(section.unwrap_or(text));
    let listed = bold.starts_with(['['])
        && bold[1..].starts_with(['\'', '"'])
        && (bold.ends_with("']") || bold.ends_with("\"]"));
    let bare = if listed {
        strip(bold.get(2..bold.len() - 2).unwrap_or_default())
    } else {
        &bold
    };
    let bare = unescaped(bare);
    let found = leading(strip(&bare), last, quirks)
        .or_else(|| labelled(&bare, last))
        .or_else(|| {
            let found = last_labelled(&unescaped(text), last);
            if found.is_some() && section.is_some() {
                quirks.push(Quirk::OutsideFinalSection);
            }
            // Only the reference's ten-option data sets fall back to a letter that stands alone.
            found.or_else(|| {
                if last == b'j' {
                    last_alone(&bare, last)
                } else {
                    None
                }
            })
        })?;
    if !found.is_ascii() {
        quirks.push(Quirk::FoldedLetter);
    }
    Some(upper(found.encode_utf8(&mut [0; 4])))
}

//! The second normal form of the PRM800K grader: `_normalize` and the splitting of tuples in `grader.py`.
//!
//! Owns: units, number words, mixed numbers, commas in numbers, tuples. Does not own: LaTeX. Pure functions; any thread.

use super::{latex, mathd::enclosed_text};
use ossmark_python::{digit, lower, parse_float, strip};

const UNITS: [&str; 16] = [
    "degree",
    "cm",
    "centimeter",
    "meter",
    "mile",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "year",
    "foot",
    "feet",
    "inch",
    "yard",
];

/// A normal form, and whether the port of the LaTeX conversion met something it does not cover.
pub(super) struct Normal {
    pub(super) text: String,
    pub(super) beyond: bool,
}

pub(super) fn normalize(expression: &str) -> Normal {
    let text = enclosed_text(expression).unwrap_or(expression);
    let mut text = text
        .replace("\\%", "%")
        .replace("\\$", "$")
        .replace(['$', '%'], "");
    text = text.replace(" or ", " , ").replace(" and ", " , ");
    text = text
        .replace("million", "*10^6")
        .replace("billion", "*10^9")
        .replace("trillion", "*10^12");
    for unit in UNITS {
        text = without_unit(&text, unit);
    }
    text = without_circ(&text);
    if text.starts_with('{') && text.ends_with('}') {
        text = text[1..text.len() - 1].to_owned();
    }
    text = without_thin_commas(&text);
    if let Some(value) = parse_float(&text).filter(|&value| near_integer(value)) {
        text = rounded(value);
    }
    let mut beyond = false;
    if text.contains('\\') {
        let converted = latex::to_text(&text);
        beyond = converted.beyond;
        // What raises in the reference leaves the expression as it is.
        text = converted.text.unwrap_or(text);
    }
    text = without_blanks_after_minus(&text);
    text = join_mixed_numbers(&text).replace([' ', '{', '}'], "");
    text = lower(&text);
    if is_integer(&text) {
        text = parse_float(&text.replace(',', "")).map_or(text, |value| rounded(value.trunc()));
    }
    Normal { text, beyond }
}

/// `abs(x - int(round(x))) <= 1e-7`
fn near_integer(value: f64) -> bool {
    value.is_finite() && (value - value.round_ties_even()).abs() <= 1e-7
}

/// The integer nearest to a float, all digits of it.
fn rounded(value: f64) -> String {
    format!("{:.0}", value.round_ties_even() + 0.0)
}

/// `<unit>(es)?(s)? *(\^[0-9]+)?` removed.
fn without_unit(text: &str, unit: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(unit) {
        out.push_str(before);
        let after = after.strip_prefix("es").unwrap_or(after);
        rest = after
            .strip_prefix('s')
            .unwrap_or(after)
            .trim_start_matches(' ');
        let power = rest.strip_prefix('^').map(|power| {
            (
                power,
                power.trim_start_matches(|c: char| c.is_ascii_digit()),
            )
        });
        if let Some((power, after)) = power
            && after.len() < power.len()
        {
            rest = after;
        }
    }
    out + rest
}

/// `\^ *\\circ` removed.
fn without_circ(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('^') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        match after.trim_start_matches(' ').strip_prefix("\\circ") {
            Some(after) => rest = after,
            None => {
                out.push('^');
                rest = after;
            }
        }
    }
    out + rest
}

/// `,\\! *` removed.
fn without_thin_commas(text: &str) -> String {
    let mut parts = text.split(",\\!");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.trim_start_matches(' '));
    }
    out
}

fn without_blanks_after_minus(text: &str) -> String {
    let mut parts = text.split('-');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push('-');
        out.push_str(part.trim_start_matches(' '));
    }
    out
}

/// `([0-9]) +([0-9])` joined by a plus: a mixed number. Of `1 2 3` only the first gap is joined, as the pattern has eaten the
/// 2.
fn join_mixed_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(' ') {
        let after = rest[at..].trim_start_matches(' ');
        let between = rest[..at].ends_with(|c: char| c.is_ascii_digit())
            && after.starts_with(|c: char| c.is_ascii_digit());
        out.push_str(&rest[..at]);
        if between {
            out.push('+');
            out.push_str(&after[..1]);
            rest = &after[1..];
        } else {
            out.push_str(&rest[at..rest.len() - after.len()]);
            rest = after;
        }
    }
    out + rest
}

/// `(\d)(,)(\d\d\d)($|\D)` without its comma, until nothing changes.
pub(super) fn strip_commas(text: &str) -> String {
    let mut text: Vec<char> = text.chars().collect();
    loop {
        let is_digit = |at: usize| text.get(at).is_some_and(|&c| digit(c).is_some());
        let mut out = Vec::with_capacity(text.len());
        let mut at = 0;
        while at < text.len() {
            let grouped = is_digit(at)
                && text.get(at + 1) == Some(&',')
                && (2..5).all(|offset| is_digit(at + offset));
            if grouped && !is_digit(at + 5) {
                out.push(text[at]);
                out.extend(&text[at + 2..text.len().min(at + 6)]);
                // `$` also stands before a last newline, which is then not eaten; nothing can start there.
                at += 6;
            } else {
                out.push(text[at]);
                at += 1;
            }
        }
        if out.len() == text.len() {
            return out.into_iter().collect();
        }
        text = out;
    }
}

/// Whether the text is a number next to an integer, commas between thousands allowed.
pub(super) fn is_integer(text: &str) -> bool {
    parse_float(&strip_commas(text)).is_some_and(near_integer)
}

/// `^-?[0-9]+.?/0*[1-9][0-9]*.?$`: a fraction, which must then match as a text.
pub(super) fn is_fraction(text: &str) -> bool {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let above = unsigned.trim_start_matches(|c: char| c.is_ascii_digit());
    if above.len() == unsigned.len() {
        return false;
    }
    let one_later = above
        .chars()
        .next()
        .filter(|&c| c != '\n')
        .and_then(|c| above[c.len_utf8()..].strip_prefix('/'));
    above
        .strip_prefix('/')
        .into_iter()
        .chain(one_later)
        .any(|below| {
            let rest = below.trim_start_matches(|c: char| c.is_ascii_digit());
            let digits = &below[..below.len() - rest.len()];
            digits.bytes().any(|byte| byte != b'0') && rest.chars().count() <= 1 && rest != "\n"
        })
}

/// The elements of a tuple or an interval; anything else is one element.
pub(super) fn split_tuple(text: &str) -> Vec<String> {
    const BRACKETS: [char; 4] = ['(', ')', '[', ']'];
    let text = strip_commas(text);
    if text.is_empty() {
        return Vec::new();
    }
    let inner = text
        .strip_prefix(BRACKETS)
        .and_then(|rest| rest.strip_suffix(BRACKETS));
    match inner {
        Some(inner) if !inner.is_empty() && !inner.contains(BRACKETS) => inner
            .split(',')
            .map(|element| strip(element).to_owned())
            .collect(),
        _ => vec![text],
    }
}

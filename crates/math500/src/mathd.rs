//! The first comparison of the PRM800K grader: `math_normalize.normalize_answer`, after the MATH data set's own rules.
//!
//! Owns: that normal form, its odd corners included. Does not own: the second comparison. Pure functions; any thread.

use ossmark_python::{IntDigits, strip};

/// Stands for the exceptions that the grader swallows: it then compares what it had.
struct Raised;

/// `^\\text\{(?P<text>.+?)\}$`: what a `\text{…}` around the whole encloses.
pub(super) fn enclosed_text(answer: &str) -> Option<&str> {
    let body = answer.strip_prefix("\\text{")?;
    let inner = body
        .strip_suffix('}')
        .or_else(|| body.strip_suffix("}\n"))?;
    (!inner.is_empty() && !inner.contains('\n')).then_some(inner)
}

/// The normal form of an answer.
pub(super) fn normalize(answer: &str, digits: IntDigits) -> String {
    let answer = strip(answer);
    let answer = enclosed_text(answer).map_or(answer, strip);
    strip_string(answer, digits).unwrap_or_else(|Raised| answer.to_owned())
}

fn strip_string(text: &str, digits: IntDigits) -> Result<String, Raised> {
    let mut text = text
        .replace('\n', "")
        .replace("\\!", "")
        .replace("\\\\", "\\");
    text = text.replace("tfrac", "frac").replace("dfrac", "frac");
    for dropped in ["\\left", "\\right", "^{\\circ}", "^\\circ", "\\$"] {
        text = text.replace(dropped, "");
    }
    text = without_right_units(text)?;
    text = text
        .replace("\\%", "")
        .replace(" .", " 0.")
        .replace("{.", "{0.");
    if text.is_empty() {
        return Ok(text);
    }
    if text.starts_with('.') {
        text.insert(0, '0');
    }
    let sides: Vec<&str> = text.split('=').collect();
    if let [left, right] = sides[..]
        && left.chars().count() <= 2
    {
        text = right.to_owned();
    }
    text = fix_roots(text)?.replace(' ', "");
    text = fix_fractions(text)?;
    if text == "0.5" {
        text = "\\frac{1}{2}".to_owned();
    }
    Ok(fix_slash(text, digits))
}

fn without_right_units(text: String) -> Result<String, Raised> {
    let parts: Vec<&str> = text.split("\\text{ ").collect();
    match parts[..] {
        [_] => Ok(text),
        [left, _] => Ok(left.to_owned()),
        _ => Err(Raised),
    }
}

/// `\sqrt3` becomes `\sqrt{3}`.
fn fix_roots(text: String) -> Result<String, Raised> {
    let mut parts = text.split("\\sqrt");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let first = part.chars().next().ok_or(Raised)?;
        out.push_str("\\sqrt");
        if first == '{' {
            out.push_str(part);
        } else {
            out.extend(['{', first, '}']);
            out.push_str(&part[first.len_utf8()..]);
        }
    }
    Ok(out)
}

/// `\frac12` and `\frac1{2}` become `\frac{1}{2}`; `\frac` with a single character after it ends the rewriting.
fn fix_fractions(text: String) -> Result<String, Raised> {
    let mut parts = text.split("\\frac");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("\\frac");
        let mut chars = part.chars();
        let above = chars.next().ok_or(Raised)?;
        if above == '{' {
            out.push_str(part);
            continue;
        }
        let Some(below) = chars.next() else {
            return Ok(text);
        };
        out.extend(['{', above, '}']);
        if below == '{' {
            out.push(below);
        } else {
            out.extend(['{', below, '}']);
        }
        out.push_str(chars.as_str());
    }
    Ok(out)
}

/// `a/b` of two integers as Python prints them becomes `\frac{a}{b}`.
fn fix_slash(text: String, limit: IntDigits) -> String {
    let printed = |part: &str| {
        let digits = part.strip_prefix('-').unwrap_or(part);
        let canonical = part == "0" || (!digits.starts_with('0') && !digits.is_empty());
        canonical && digits.bytes().all(|byte| byte.is_ascii_digit()) && limit.allows(digits.len())
    };
    match text.split('/').collect::<Vec<_>>()[..] {
        [above, below] if printed(above) && printed(below) => {
            format!("\\frac{{{above}}}{{{below}}}")
        }
        _ => text,
    }
}

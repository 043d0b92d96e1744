//! The last comparison of the PRM800K grader: whether sympy simplifies the difference of two expressions to zero.
//!
//! Owns: which pairs sympy is asked about, and the decision. Does not own: parsing (`expression`), exact algebra
//! (`algebra`), floating point (`numeric`). Pure functions; any thread.
//!
//! The grader lets at most two different letters through, which leaves numbers, roots, powers, factorials, logarithms and two
//! unknowns. A difference is zero when exact algebra says so. It is not when exact algebra over independent atoms, or a
//! value far from zero at generic complex points, says so. What remains is counted as equal with a doubt.

mod algebra;
mod expression;
mod numeric;
mod poly;

use crate::Doubt;
use expression::{Expression, Unparsed};
use ossmark_python::is_alpha;

/// Whether the grader takes two elements for equal by sympy's word.
pub(super) fn equal(truth: &str, given: &str, doubts: &mut Vec<Doubt>) -> bool {
    let difference = format!("({truth})-({given})");
    if !may_be_evaluated(&difference) {
        return false;
    }
    match expression::parse(&difference) {
        Ok(expression) => is_zero(&expression, doubts),
        // The grader takes any exception for "not equal".
        Err(Unparsed::Raises) => false,
        Err(Unparsed::Beyond) => {
            doubts.push(Doubt::BeyondPort);
            false
        }
    }
}

/// `should_allow_eval`: at most two different letters beside `sqrt` and `frac`, and no long exponents.
fn may_be_evaluated(text: &str) -> bool {
    let plain = text.replace("sqrt", "").replace("frac", "");
    let mut letters: Vec<char> = plain.chars().filter(|&c| is_alpha(c)).collect();
    letters.sort_unstable();
    letters.dedup();
    letters.len() <= 2
        && !text.match_indices('^').any(|(at, _)| {
            let power = &text[at + 1..];
            let rest = power.trim_start_matches(|c: char| c.is_ascii_digit());
            let digits = power.len() - rest.len();
            power.starts_with(['{', '(']) || digits > 1 || digits == 1 && rest.starts_with('^')
        })
}

fn is_zero(difference: &Expression, doubts: &mut Vec<Doubt>) -> bool {
    if let Some(value) = numeric::as_python_would(difference) {
        return value;
    }
    let exact = algebra::evaluate(difference);
    match exact {
        algebra::Outcome::Zero => return true,
        algebra::Outcome::NotZero | algebra::Outcome::Undefined => return false,
        algebra::Outcome::Unknown => {}
    }
    match numeric::far_from_zero(difference) {
        Some(true) => false,
        // sympy proves nothing about floats that differ in the last digits.
        Some(false) if !difference.has_decimal() => {
            doubts.push(Doubt::NumericallyEqual);
            true
        }
        Some(false) | None => {
            doubts.push(Doubt::BeyondPort);
            false
        }
    }
}

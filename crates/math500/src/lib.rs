//! Whether two expressions of math500 are equal, as the PRM800K grader says it.
//!
//! A package of its own: nine tenths of the work is a port of what sympy makes of such expressions, which no other data set
//! needs and which the benchmark does not score. One function: [`compare`]. Owns: the order of the grader's comparisons, its
//! normal forms (`mathd`, `normal`, `latex`) and the algebra (`sympy`). Does not own: what is taken for the answer in a model's
//! output, the verdict's text. Pure functions that take bounded time; any thread.
//!
//! The rules are those of `prm800k/grading/{grader,math_normalize}.py` of openai/prm800k at 7ecc7947, with pylatexenc for LaTeX
//! and sympy for the last comparison. How far the last one is followed, `sympy` says.

mod doubt;
mod latex;
mod mathd;
mod normal;
mod sympy;

pub use doubt::Doubt;

use ossmark_python::IntDigits;

/// The grader's verdict on a pair of expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// Whether it takes them for equal.
    pub equal: bool,
    /// What the verdict rests on, where that is less than a proof.
    pub doubt: Option<Doubt>,
}

/// Whether `given` is as good as `truth`, both as LaTeX. `digits` is how long a number Python's `int()` takes while the log is
/// graded.
pub fn compare(given: &str, truth: &str, digits: IntDigits) -> Comparison {
    let plain = |equal| Comparison { equal, doubt: None };
    if given.is_empty() {
        return plain(false);
    }
    if mathd::normalize(truth, digits) == mathd::normalize(given, digits) {
        return plain(true);
    }
    let (truth, given) = (normal::normalize(truth), normal::normalize(given));
    if truth.text == given.text {
        return plain(true);
    }
    let mut asked = Vec::new();
    let equal = same_elements(&truth.text, &given.text, &mut asked);
    // An element that differs settles the matter, whatever was doubtful before it.
    let doubt = if equal {
        asked
            .contains(&Doubt::NumericallyEqual)
            .then_some(Doubt::NumericallyEqual)
    } else {
        let beyond = truth.beyond || given.beyond || asked.contains(&Doubt::BeyondPort);
        beyond.then_some(Doubt::BeyondPort)
    };
    Comparison { equal, doubt }
}

fn same_elements(truth: &str, given: &str, doubts: &mut Vec<Doubt>) -> bool {
    let ends = |text: &str| (text.chars().next(), text.chars().next_back());
    let (truths, givens) = (normal::split_tuple(truth), normal::split_tuple(given));
    if givens.is_empty()
        || (truths.len() > 1 && ends(truth) != ends(given))
        || truths.len() != givens.len()
    {
        return false;
    }
    truths.iter().zip(&givens).all(|(truth, given)| {
        if normal::is_fraction(truth) && normal::is_fraction(given) {
            return truth == given;
        }
        if normal::is_integer(truth) != normal::is_integer(given) {
            return false;
        }
        sympy::equal(truth, given, doubts)
    })
}

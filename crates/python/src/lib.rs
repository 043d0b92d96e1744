//! What Python's strings and numbers do, where the verdict of a reference written in Python depends on it: the scorer's and
//! the submission checker's.
//!
//! Owns: character classes (`\s`, `\d`, `\w`), `str.strip`, `str.lower`, `str.upper`, `int()`, `float()` and `repr` of a
//! float, as CPython 3.11 with Unicode 14.0 has them. Does not own: any pattern of a grader, Python's JSON
//! (`crates/submission`), pickles (read twice on purpose, see docs/architecture.md). Pure functions; any thread.

mod number;
mod tables;
mod text;

pub use number::{IntDigits, float_repr, parse_float, parse_int};
pub use text::{digit, is_alpha, is_space, is_word, lower, skip_spaces, strip, upper};

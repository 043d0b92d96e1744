//! Why text cannot become token ids, or a tokenizer cannot be used.

use std::path::PathBuf;

/// A situation in which this package cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("{}: cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that is no tokenizer for this model.
    #[error("{}: {what}", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What was found and expected.
        what: String,
    },
    /// A vocabulary without one of Harmony's special tokens.
    #[error(
        "the tokenizer has no token {token}, which Harmony prompts are made of; give the tokenizer.json of gpt-oss"
    )]
    NoSpecialToken {
        /// Its text.
        token: &'static str,
    },
    /// The tokenizer gave up on a text.
    #[error("cannot tokenise a text of {bytes} bytes: {reason}")]
    Encode {
        /// The text's length.
        bytes: usize,
        /// What the tokenizer said.
        reason: String,
    },
    /// A text of more tokens than its reader can use.
    #[error("the text has more than {most} tokens")]
    TooManyTokens {
        /// What would have been fine.
        most: usize,
    },
    /// Nobody waits for the ids any more.
    #[error("tokenising was cancelled")]
    Stopped,
    /// A vocabulary in which ordinary text reaches a special token.
    #[error(
        "the tokenizer makes special token {id} of ordinary text, so a data set could forge a conversation; give the \
         tokenizer.json of gpt-oss"
    )]
    ControlInText {
        /// The token.
        id: u32,
    },
}

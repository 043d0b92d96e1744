//! Prompts and answers held against openai-harmony, and text that must stay text.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]

mod answers;
mod functions;
mod golden;
mod text_is_text;
mod vocabulary;

use std::path::PathBuf;

use ossmark_harmony::{Harmony, Tokenizer};

/// The demo's vocabulary: 448 ids, all control tokens.
fn demo_tokenizer() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../demo/tokenizer.json")
}

fn demo() -> Harmony {
    Harmony::new(Tokenizer::load(&demo_tokenizer()).unwrap()).unwrap()
}

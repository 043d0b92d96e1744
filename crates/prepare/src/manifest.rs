//! What stands beside a prepared file: everything that decides its bytes, and nothing that does not (no time, no threads, no
//! paths).

use std::sync::Arc;

use ossmark_dataset::TokenStats;
use ossmark_harmony::Effort;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{Template, recipe::Selection};

/// The manifest of a prepared file.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// The program and its version.
    pub tool: String,
    /// The file that was written.
    pub output: OutputEntry,
    /// Reasoning effort in the system message.
    pub effort: Effort,
    /// The date in the system message.
    pub date: String,
    /// Seed of the shuffled options.
    pub seed: u32,
    /// sha256 of the template file.
    pub templates_sha256: String,
    /// Whose token ids these are.
    pub tokenizer: TokenizerEntry,
    /// The data sets, in the file's order.
    pub sources: Vec<SourceEntry>,
}

/// The file that was written.
#[derive(Clone, Debug, Serialize)]
pub struct OutputEntry {
    /// Its name.
    pub file: String,
    /// sha256 of its bytes.
    pub sha256: String,
    /// sha256 of its tokens, as `ossmark dataset inspect` prints it.
    pub content_sha256: String,
    /// Its rows.
    pub rows: usize,
    /// How long its prompts are.
    pub prompt_tokens: Lengths,
}

/// Lengths in tokens.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Lengths {
    /// The shortest prompt.
    pub min: usize,
    /// The median.
    pub p50: usize,
    /// The longest prompt.
    pub max: usize,
    /// All prompts together.
    pub total: u64,
}

impl Lengths {
    pub(crate) fn of(prompts: &[Arc<[u32]>]) -> Self {
        let TokenStats {
            min,
            p50,
            max,
            total,
            ..
        } = TokenStats::of(prompts);
        Self {
            min,
            p50,
            max,
            total,
        }
    }
}

/// The tokenizer.
#[derive(Clone, Debug, Serialize)]
pub struct TokenizerEntry {
    /// sha256 of its tokenizer.json.
    pub sha256: String,
}

/// One data set of the file.
#[derive(Clone, Debug, Serialize)]
pub struct SourceEntry {
    /// The name in the column `dataset`.
    pub dataset: String,
    /// The kind in the template file.
    pub kind: String,
    /// What was written around each question.
    pub template: Template,
    /// The publisher's files.
    pub files: Vec<FileEntry>,
    /// What was left out.
    #[serde(flatten)]
    pub selection: Selection,
    /// Questions that were taken.
    pub questions: usize,
    /// How often each was asked.
    pub repeats: u32,
    /// Their product.
    pub rows: usize,
}

/// One file of a publisher.
#[derive(Clone, Debug, Serialize)]
pub struct FileEntry {
    /// Its name.
    pub file: String,
    /// sha256 of its bytes.
    pub sha256: String,
    /// Questions that were taken from it.
    pub questions: usize,
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

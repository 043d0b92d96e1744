//! A data set as the harness uses it: all prompts and the known text columns in memory, indexed as LoadGen's samples are.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    Error, Result, Tables, TextColumn, TokenStats, content_sha256, fingerprint::files_sha256,
};

/// Names under which published files keep the prompt's tokens, the first that is there counts. `input_tokens` is in the
/// reference's converted files, `tok_input` in what its preparation script writes.
pub const TOKEN_COLUMNS: [&str; 2] = ["input_tokens", "tok_input"];

/// Text columns of published files.
pub const TEXT_COLUMNS: [&str; 8] = [
    "dataset",
    "ground_truth",
    "prompt",
    "question",
    "text_input",
    "id",
    "question_id",
    "reasoning_effort",
];

/// The column with the name of each row's data set.
const NAMES: &str = "dataset";

/// A data set in memory. Row i is LoadGen's sample i.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The file, folder or pattern that it was read from.
    pub path: PathBuf,
    /// Which of [`TOKEN_COLUMNS`] held the prompts.
    pub token_column: &'static str,
    /// Every prompt, at least one token each, no token above `i32::MAX`.
    pub prompts: Vec<Arc<[u32]>>,
    /// Those of [`TEXT_COLUMNS`] that the file has in a type that can be read as text.
    pub text_columns: Vec<&'static str>,
    /// The names' column, and the columns that were asked for, each as long as `prompts`; those that the file lacks are not
    /// there.
    pub text: BTreeMap<String, TextColumn>,
    /// sha256 of the file's bytes; of several files, of what `sha256sum` prints of them in their folder.
    pub file_sha256: String,
    /// sha256 of the tokens alone: see [`content_sha256`].
    pub content_sha256: String,
}

impl Dataset {
    /// Reads the prompts of a parquet file, or of several that are one table (see [`crate::files`]), checking every token,
    /// and the column `dataset` if there is one that can be read as text. No other column is decoded: it may be of any type.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, &[])
    }

    /// As [`Dataset::open`], with more columns as text.
    pub fn open_with(path: &Path, columns: &[&str]) -> Result<Self> {
        let table = Tables::open(path)?;
        let token_column = *TOKEN_COLUMNS
            .iter()
            .find(|name| table.has(name))
            .ok_or_else(|| {
                table.no_column(format!("of token ids ('{}')", TOKEN_COLUMNS.join("' or '")))
            })?;
        let prompts = table.tokens(token_column)?;
        if prompts.is_empty() {
            return Err(Error::NoRows {
                path: path.to_owned(),
            });
        }
        let known = TEXT_COLUMNS.into_iter();
        let text_columns = known.filter(|name| table.is_text(name)).collect();
        let names = [NAMES].into_iter().filter(|name| table.is_text(name));
        let asked = columns.iter().copied().filter(|name| table.has(name));
        let text = names
            .chain(asked)
            .map(|name| Ok((name.to_owned(), table.text(name)?)))
            .collect::<Result<_>>()?;
        let content_sha256 = content_sha256(&prompts);
        Ok(Self {
            path: path.to_owned(),
            token_column,
            prompts,
            text_columns,
            text,
            file_sha256: files_sha256(&table)?,
            content_sha256,
        })
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.prompts.len()
    }

    /// Never true after [`Dataset::open`], which refuses a file without rows.
    pub fn is_empty(&self) -> bool {
        self.prompts.is_empty()
    }

    /// One cell of a text column; None when the column is absent or was not asked for, the row out of range or the cell null.
    pub fn cell(&self, column: &str, row: usize) -> Option<&str> {
        self.text.get(column)?.get(row)?.as_deref()
    }

    /// How long the prompts are.
    pub fn stats(&self) -> TokenStats {
        TokenStats::of(&self.prompts)
    }

    /// Rows by the name in the `dataset` column; rows without a name are not counted.
    pub fn rows_by_name(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for name in self.text.get(NAMES).into_iter().flatten().flatten() {
            *counts.entry(name.as_str()).or_default() += 1;
        }
        counts
    }
}

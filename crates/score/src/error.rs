//! Why a score cannot be given. A wrong answer is no error, and what the reference goes on after is a finding.

use std::path::PathBuf;

use ossmark_files::Brief;

/// A situation in which scoring cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A row of the reference data names no data set.
    #[error(
        "a data set's name is empty; expected one that holds gpqa, mmlu, math500, aime or livecodebench"
    )]
    EmptyDatasetName,
    /// No evaluator belongs to a data set.
    #[error(
        "no evaluator for the data set \"{}\"; its name must hold gpqa, mmlu, math500, aime or livecodebench",
        Brief(name)
    )]
    UnknownDataset {
        /// Its name, as it was found.
        name: String,
    },
    /// A file could not be read or written.
    #[error("{}: cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An accuracy log that is no list of entries.
    #[error("{}: at byte {offset}, after {entry} entries: found {found}, expected {expected}", path.display())]
    Log {
        /// The log.
        path: PathBuf,
        /// Entries read before.
        entry: usize,
        /// Where in the file.
        offset: u64,
        /// What stands there.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// An entry of an accuracy log at which the reference, too, ends.
    #[error("{}: entry {entry} (counted from 0): {what}; score a log that a run wrote to its end", path.display())]
    Entry {
        /// The log.
        path: PathBuf,
        /// The entry's place, from 0.
        entry: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A LiveCodeBench problem file that the reference would not load either.
    #[error("{}: {place}: {what}; expected LiveCodeBench's own records", path.display())]
    Problems {
        /// The file.
        path: PathBuf,
        /// The record.
        place: ossmark_dataset::RecordPosition,
        /// What was found.
        what: String,
    },
    /// No interpreter to run LiveCodeBench candidates with.
    #[error("{} {what}; expected Python 3.10 or later, name one with --python", python.display())]
    Python {
        /// The interpreter that was tried.
        python: PathBuf,
        /// What it did.
        what: String,
    },
    /// The sandbox could not be set up.
    #[error("sandbox: {what}; `ossmark doctor` shows what this machine offers")]
    Sandbox {
        /// What went wrong.
        what: String,
    },
    /// Too little would keep candidates from this machine.
    #[error(
        "LiveCodeBench candidates are untrusted code, and this machine does not confine them: expected seccomp, and own root or \
         Landlock; inactive: {inactive}; allow these (containers often forbid user namespaces and Landlock; `ossmark \
         doctor` shows what is there), or give --allow-unconfined where the machine may be lost"
    )]
    Unconfined {
        /// The layers that are not active, and why.
        inactive: String,
    },
    /// A row's data set has no name, or one that the reference cannot grade either.
    #[error("{}: row {row}", path.display())]
    Dataset {
        /// The reference data.
        path: PathBuf,
        /// The row, from 0.
        row: usize,
        /// What is wrong with the name.
        source: Box<Error>,
    },
    /// A file of inferred outputs lacks a column.
    #[error("{}: no column {column}; found {found}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// What was expected.
        column: String,
        /// The columns that are there.
        found: String,
    },
    /// A row of inferred outputs at which the reference, too, ends.
    #[error("{}: row {row}: {what}; the reference ends here as well; fix the row's ground_truth", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The row, from 0.
        row: usize,
        /// What happened.
        what: String,
    },
    /// A file with verdicts of an earlier run that had other settings.
    #[error(
        "{}: holds verdicts so far of other settings: found {found}, expected {expected}; give the earlier settings, or move \
         the file away",
        path.display()
    )]
    Partial {
        /// The file.
        path: PathBuf,
        /// Its first line.
        found: String,
        /// What it would be with these settings.
        expected: String,
    },
    /// The reference data cannot be read.
    #[error(transparent)]
    Data(#[from] ossmark_dataset::Error),
}

//! What is right: the data set's name and the ground truth of every row. Reads only these two columns.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use ossmark_dataset::{Cell, Frame};

use crate::{
    Error, Result,
    grade::{Evaluator, GroundTruth, evaluator, normalize_dataset_name, repeats, runs_code},
};

/// A data set's name, in lower case, and what its answers are held to.
#[derive(Debug)]
pub struct DatasetKind {
    /// The name in lower case, as the reference reports it.
    pub name: String,
    /// How its answers are read and graded.
    pub evaluator: Evaluator,
    /// How often each question is asked.
    pub repeats: u64,
    /// Whether what is extracted is run. Decided by the name alone, as in the reference.
    pub is_code: bool,
}

/// The reference data of a log.
pub struct Reference {
    path: PathBuf,
    /// A row's data set, or its name that is none.
    kinds: Vec<std::result::Result<Arc<DatasetKind>, String>>,
    truths: Vec<GroundTruth>,
    has_code: bool,
}

impl Reference {
    /// Reads the columns `dataset` and `ground_truth` of a parquet file, or of a pandas pickle where that is allowed.
    ///
    /// # Errors
    /// When the file cannot be read or lacks one of the columns.
    pub fn open(path: &Path, allow_pickle: bool) -> Result<Self> {
        Self::from_frame(path, &Frame::open(path, allow_pickle)?)
    }

    /// As [`Reference::open`], of a file that is open already.
    ///
    /// # Errors
    /// When a column is missing, or holds neither texts nor numbers.
    pub fn from_frame(path: &Path, frame: &Frame) -> Result<Self> {
        let names: Vec<String> = frame
            .cells("dataset")?
            .into_iter()
            .map(|cell| match truth(cell) {
                GroundTruth::Missing => String::new(),
                name => name.to_string(),
            })
            .collect();
        let mut known: BTreeMap<&str, Option<Arc<DatasetKind>>> = BTreeMap::new();
        for name in &names {
            known
                .entry(name)
                .or_insert_with(|| kind(name).ok().map(Arc::new));
        }
        let kinds = names
            .iter()
            .map(|name| known[name.as_str()].clone().ok_or_else(|| name.clone()))
            .collect();
        let truths = frame
            .cells("ground_truth")?
            .into_iter()
            .map(truth)
            .collect();
        Ok(Self {
            path: path.to_owned(),
            has_code: known.values().flatten().any(|kind| kind.is_code),
            kinds,
            truths,
        })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.kinds.len()
    }

    /// A row's data set and ground truth.
    ///
    /// # Errors
    /// When the row has no data set's name, or one that the reference knows no grader for.
    pub fn row(&self, row: usize) -> Result<(&DatasetKind, &GroundTruth)> {
        match &self.kinds[row] {
            Ok(kind) => Ok((kind, &self.truths[row])),
            Err(name) => Err(Error::Dataset {
                path: self.path.clone(),
                row,
                source: Box::new(evaluator(name).err().unwrap_or(Error::EmptyDatasetName)),
            }),
        }
    }

    /// Whether any row is answered by a program.
    pub fn has_code(&self) -> bool {
        self.has_code
    }
}

fn kind(name: &str) -> Result<DatasetKind> {
    Ok(DatasetKind {
        evaluator: evaluator(name)?,
        repeats: u64::from(repeats(name)),
        is_code: runs_code(name),
        name: normalize_dataset_name(name)?,
    })
}

/// A cell as the reference's scripts see it.
pub(crate) fn truth(cell: Cell) -> GroundTruth {
    match cell {
        Cell::Null => GroundTruth::Missing,
        Cell::Text(text) => GroundTruth::Text(text),
        Cell::Int(n) => GroundTruth::Integer(n.into()),
        Cell::Unsigned(n) => GroundTruth::Integer(n.into()),
        Cell::Float(n) => GroundTruth::from_float(n),
        Cell::Decimal(n) => GroundTruth::Decimal(n),
        Cell::Bool(b) => GroundTruth::Boolean(b),
    }
}

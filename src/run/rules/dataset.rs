//! Which of the benchmark's files a data set is, and which one a run wants. Recognised by what anybody can see: the number of
//! rows and the names in the column `dataset`; no checksum of the official files is published.

use std::collections::BTreeMap;

use ossmark_dataset::Dataset;
use serde::Serialize;

use super::{Audit, Mode, rules};

/// One of the benchmark's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OfficialFile {
    /// Performance runs and TEST09.
    Performance,
    /// Accuracy runs.
    Accuracy,
    /// TEST07.
    Compliance,
}

impl OfficialFile {
    pub(crate) const ALL: [Self; 3] = [Self::Performance, Self::Accuracy, Self::Compliance];

    pub(crate) fn rows(self) -> u64 {
        match self {
            Self::Performance => rules().performance.dataset_rows.value,
            Self::Accuracy => rules().accuracy.dataset_rows.value,
            Self::Compliance => rules().compliance.test07.sample_count.value,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Performance => "performance",
            Self::Accuracy => "accuracy",
            Self::Compliance => "compliance (GPQA)",
        }
    }

    /// The runs that it is for.
    pub(crate) fn suits(self) -> &'static [&'static str] {
        match self {
            Self::Performance => &["performance", "find-peak", "TEST09"],
            Self::Accuracy => &["accuracy"],
            Self::Compliance => &["TEST07"],
        }
    }

    /// The file that this is; None for any other. `names` counts the rows by the column `dataset`, empty without one.
    pub(crate) fn recognise(rows: u64, names: &BTreeMap<&str, usize>) -> Option<Self> {
        let file = Self::ALL.into_iter().find(|file| file.rows() == rows)?;
        let fits = match file {
            _ if names.is_empty() => true,
            Self::Performance => !names.keys().any(|name| is_graded(name)),
            Self::Accuracy => {
                // Each question is there as often as it is repeated.
                let repeats = &rules().accuracy.repeats.value;
                repeats.len() == names.len()
                    && (names.iter()).all(|(name, rows)| {
                        repeats.get(*name).is_some_and(|n| rows % *n as usize == 0)
                    })
            }
            Self::Compliance => names.keys().all(|name| name.contains("gpqa")),
        };
        fits.then_some(file)
    }

    pub(crate) fn of(dataset: &Dataset) -> Option<Self> {
        Self::recognise(dataset.len() as u64, &dataset.rows_by_name())
    }

    /// The file that a run is made with; None where nothing says so.
    pub(crate) fn wanted(mode: Mode, audit: Option<Audit>) -> Option<Self> {
        match (mode, audit) {
            (Mode::Accuracy, _) => Some(Self::Accuracy),
            (_, None | Some(Audit::Test09)) => Some(Self::Performance),
            (_, Some(Audit::Test07)) => Some(Self::Compliance),
            (_, Some(Audit::Unknown)) => None,
        }
    }
}

fn is_graded(name: &str) -> bool {
    rules().accuracy.repeats.value.contains_key(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_rows_and_names() {
        let know = |rows, names: &[(&'static str, usize)]| {
            OfficialFile::recognise(rows, &names.iter().copied().collect())
        };
        use OfficialFile::{Accuracy, Compliance, Performance};
        assert_eq!(know(6396, &[]), Some(Performance));
        assert_eq!(know(6396, &[("pubmed", 6396)]), Some(Performance));
        assert_eq!(know(6396, &[("aime25", 6396)]), None);
        assert_eq!(know(4395, &[]), Some(Accuracy));
        let parts = [
            ("aime25", 240),
            ("gpqa_diamond", 990),
            ("livecodebench_v6", 3165),
        ];
        assert_eq!(know(4395, &parts), Some(Accuracy));
        assert_eq!(know(4395, &parts[..2]), None);
        assert_eq!(
            know(
                4395,
                &[
                    ("aime25", 239),
                    ("gpqa_diamond", 990),
                    ("livecodebench_v6", 3166)
                ]
            ),
            None
        );
        assert_eq!(know(990, &[("gpqa_diamond", 990)]), Some(Compliance));
        assert_eq!(know(990, &[("gpqa", 990)]), Some(Compliance));
        assert_eq!(know(990, &[("gpqa", 989), ("aime25", 1)]), None);
        for rows in [0, 480, 512, 989, 991, 4394, 6397] {
            assert_eq!(know(rows, &[]), None);
        }
    }

    #[test]
    fn runs_want_one_file_each() {
        use Mode::{Accuracy, FindPeak, Performance};
        for (mode, audit, file) in [
            (Performance, None, Some(OfficialFile::Performance)),
            (FindPeak, None, Some(OfficialFile::Performance)),
            (
                Performance,
                Some(Audit::Test09),
                Some(OfficialFile::Performance),
            ),
            (
                Performance,
                Some(Audit::Test07),
                Some(OfficialFile::Compliance),
            ),
            (Performance, Some(Audit::Unknown), None),
            (Accuracy, None, Some(OfficialFile::Accuracy)),
        ] {
            assert_eq!(
                OfficialFile::wanted(mode, audit),
                file,
                "{mode:?} {audit:?}"
            );
        }
    }
}

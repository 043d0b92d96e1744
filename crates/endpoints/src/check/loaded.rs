//! What was read of a curve, for the rules that look at all of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::model::accuracy::Accuracy;
use crate::model::point::{AGENTIC, Point};
use crate::model::summary::Summary;
use crate::regions::Regions;

/// The client's file with a point's figures.
pub(super) const SUMMARY: &str = "result_summary.json";

/// A point whose `point.yaml` is valid.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) dir: PathBuf,
    pub(super) yaml: PathBuf,
    pub(super) point: Point,
    pub(super) summary: Option<Summary>,
}

/// One whose `point.yaml` is not: it counts for C_min, coverage and number of points.
#[derive(Debug)]
pub(super) struct Unparsed {
    pub(super) dir: PathBuf,
    pub(super) yaml: PathBuf,
    pub(super) concurrency: Option<i128>,
}

/// What the rules about all points look at.
#[derive(Debug)]
pub(super) struct Curve {
    pub(super) dir: PathBuf,
    /// The folder's name.
    pub(super) model: String,
    pub(super) folders: usize,
    pub(super) points: Vec<Loaded>,
    pub(super) unparsed: Vec<Unparsed>,
    pub(super) c_max: Option<i128>,
    pub(super) regions: Option<Regions>,
    /// In order of reading; of points with the same concurrency the last counts.
    pub(super) accuracy: Vec<(i128, Accuracy)>,
    /// Of the first point with accuracy results.
    pub(super) accuracy_dir: Option<PathBuf>,
}

impl Curve {
    /// Of all points that say one, valid ones first.
    pub(super) fn concurrencies(&self) -> Vec<i128> {
        let valid = self.points.iter().map(|p| p.point.concurrency);
        valid
            .chain(self.unparsed.iter().filter_map(|p| p.concurrency))
            .collect()
    }

    /// All points but a dedicated Offline run, which has a load pattern of its own.
    pub(super) fn load_patterns(&self) -> BTreeSet<&str> {
        let voting = self.points.iter().filter(|p| !p.point.is_dedicated());
        voting
            .map(|p| p.point.settings.load_pattern.as_str())
            .collect()
    }

    /// All voting points say so.
    pub(super) fn is_agentic(&self) -> bool {
        let patterns = self.load_patterns();
        patterns.len() == 1 && patterns.contains(AGENTIC)
    }

    pub(super) fn accuracy_at(&self, concurrency: i128) -> Option<&Accuracy> {
        let found = self.accuracy.iter().find(|(at, _)| *at == concurrency);
        found.map(|(_, accuracy)| accuracy)
    }
}

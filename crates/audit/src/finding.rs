//! What is found, and what was not looked at. Neither is a verdict.

use serde::Serialize;

use crate::kind::Kind;

/// How odd something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Worth knowing.
    Note,
    /// Worth a question to the submitter.
    Ask,
}

/// Something that is not as usual.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The kind's name.
    pub name: &'static str,
    /// How odd it is.
    pub level: Level,
    /// Which run or result. From outside: to be escaped where it is shown.
    #[serde(rename = "where")]
    pub place: String,
    /// What was found.
    pub figure: String,
    /// What is usual, and who says so.
    pub usual: String,
    /// How often an honest result has a figure this far off, where there is a model that says so: 0 to 1.
    pub rarity: Option<f64>,
    /// What to ask.
    pub question: &'static str,
}

impl Finding {
    pub(crate) fn new(
        kind: Kind,
        level: Level,
        place: &str,
        figure: impl Into<String>,
        usual: impl Into<String>,
    ) -> Self {
        Self {
            name: kind.name(),
            level,
            place: place.to_owned(),
            figure: figure.into(),
            usual: usual.into(),
            rarity: None,
            question: kind.question(),
        }
    }

    pub(crate) fn rare(self, rarity: f64) -> Self {
        Self {
            rarity: rarity.is_finite().then_some(rarity),
            ..self
        }
    }
}

/// More are counted, not kept: a tree may hold anything.
const KEPT: usize = 2000;

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Findings {
    /// In the order in which things were looked at.
    pub findings: Vec<Finding>,
    /// What the input cannot show, a sentence each. From outside in part: to be escaped where it is shown.
    pub not_looked_at: Vec<String>,
    /// Findings and sentences that were counted and not kept.
    pub left_out: usize,
}

impl Findings {
    pub(crate) fn add(&mut self, finding: Finding) {
        match self.findings.len() < KEPT {
            true => self.findings.push(finding),
            false => self.left_out += 1,
        }
    }

    /// A sentence once, however often it is true.
    pub(crate) fn skip(&mut self, what: impl Into<String>) {
        let what = what.into();
        if self.not_looked_at.contains(&what) {
            return;
        }
        match self.not_looked_at.len() < KEPT {
            true => self.not_looked_at.push(what),
            false => self.left_out += 1,
        }
    }

    /// How many are questions.
    pub fn asks(&self) -> usize {
        let asks = self.findings.iter().filter(|f| f.level == Level::Ask);
        asks.count()
    }

    /// Scripted answers say so themselves: what a script decides is no question.
    pub(crate) fn of_a_script(&mut self, from: usize) {
        for finding in self.findings.iter_mut().skip(from) {
            if Kind::named(finding.name).is_some_and(Kind::is_of_the_engine) {
                finding.level = Level::Note;
            }
        }
    }
}

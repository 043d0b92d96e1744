//! A run that is followed: what its files have said until now.

use std::path::{Path, PathBuf};

use ossmark_record::{Damage, Follower, News, State};
use ossmark_report::{Depth, Verdict, is_run, read};
use serde_json::Value;

use crate::expected::{expected_samples, limits};
use crate::pace::Pace;
use crate::so_far::SoFar;

/// What is known of a run now. Texts in it are from outside; [`crate::view()`] escapes them.
#[derive(Debug)]
pub struct Watched {
    pub(crate) dir: PathBuf,
    /// None once it could not be read on.
    follower: Option<Follower>,
    /// `run_plan.json`; null where there is none.
    pub(crate) plan: Value,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) expected: Option<u64>,
    pub(crate) so_far: SoFar,
    pub(crate) pace: Pace,
    /// None as long as there is no record.
    pub(crate) state: Option<State>,
    pub(crate) lost: u64,
    pub(crate) reason: Option<String>,
    pub(crate) damage: Option<Damage>,
    /// What of the plan and the verdict could not be read.
    stated: Vec<String>,
    /// Why the record is not read any further.
    broken: Option<String>,
}

impl Watched {
    /// Of the run in `dir`, of which nothing has been read yet.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.into(),
            follower: Some(Follower::new(dir)),
            plan: Value::Null,
            verdict: None,
            expected: None,
            so_far: SoFar::new([None; 2]),
            pace: Pace::default(),
            state: None,
            lost: 0,
            reason: None,
            damage: None,
            stated: Vec::new(),
            broken: None,
        }
    }

    /// The run's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether something of a run is in the directory.
    pub fn is_run(&self) -> bool {
        is_run(&self.dir)
    }

    /// Reads all that is new; returns whether something was.
    pub fn look(&mut self) -> bool {
        let mut new = self.stated();
        let Some(mut follower) = self.follower.take() else {
            return new;
        };
        loop {
            match follower.look() {
                Ok(news) => {
                    let more = news.more;
                    new |= self.take(news);
                    if !more {
                        break;
                    }
                }
                Err(error) => {
                    self.broken = Some(error.to_string());
                    return true;
                }
            }
        }
        self.follower = Some(follower);
        // A run that has just ended has its verdict.
        self.stated() || new
    }

    /// What could not be read, a sentence each.
    pub fn problems(&self) -> impl Iterator<Item = &String> {
        self.stated.iter().chain(&self.broken)
    }

    /// Reads the plan before the first row, whose limits it has, and the verdict once the run is over.
    fn stated(&mut self) -> bool {
        let over = self.state != Some(State::GoingOn);
        if !self.plan.is_null() && (!over || self.verdict.is_some()) {
            return false;
        }
        let Ok(run) = read(&self.dir, Depth::Stated) else {
            return false;
        };
        let new = self.plan != run.plan || run.verdict.is_some();
        if self.plan.is_null() && self.so_far.rows == 0 {
            self.so_far = SoFar::new(limits(&run.plan).map(|(_, limit)| limit));
        }
        self.plan = run.plan;
        self.expected = expected_samples(&self.plan);
        self.verdict = run.verdict;
        self.stated = run.problems;
        new
    }

    pub(crate) fn take(&mut self, news: News) -> bool {
        let new = !news.rows.is_empty() || !news.seconds.is_empty() || news.state != self.state;
        news.rows.iter().for_each(|row| self.so_far.row(row));
        news.seconds.into_iter().for_each(|s| self.pace.add(s));
        self.state = news.state;
        self.lost = news.lost;
        self.reason = news.reason;
        self.damage = news.damage;
        new
    }
}

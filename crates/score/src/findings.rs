//! What the reference lets pass and an auditor should know: counted by rule, with the first place named.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::Serialize;

/// Something that does not change the score and does bear on whether to believe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable name.
    pub rule: &'static str,
    /// How often it was seen.
    pub count: u64,
    /// What it means.
    pub message: Cow<'static, str>,
    /// Where it was seen first.
    pub first: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "finding: {}: ", self.rule)?;
        if self.count != 1 {
            write!(f, "{} ", self.count)?;
        }
        let Self { message, first, .. } = self;
        write!(f, "{message} (first: {})", ossmark_files::Escaped(first))
    }
}

/// Findings by rule.
#[derive(Clone, Debug, Default)]
pub struct Findings(BTreeMap<&'static str, Finding>);

impl Findings {
    /// Counts one more of a rule; `place` is asked for only at the first.
    pub fn add(
        &mut self,
        rule: &'static str,
        message: &'static str,
        place: impl FnOnce() -> String,
    ) {
        self.add_many(rule, message, 1, place);
    }

    /// Counts several of a rule, none of which is no finding.
    pub fn add_many(
        &mut self,
        rule: &'static str,
        message: &'static str,
        count: u64,
        place: impl FnOnce() -> String,
    ) {
        if count > 0 {
            let finding = self.0.entry(rule).or_insert_with(|| Finding {
                rule,
                count: 0,
                message: message.into(),
                first: place(),
            });
            finding.count += count;
        }
    }

    /// One that is made of what was found, of which there is one for each `rule`.
    pub fn say(&mut self, rule: &'static str, message: String, first: String) {
        let finding = Finding {
            rule,
            count: 1,
            message: message.into(),
            first,
        };
        self.0.insert(rule, finding);
    }

    /// All findings, by the name of their rule.
    pub fn list(&self) -> Vec<&Finding> {
        self.0.values().collect()
    }
}

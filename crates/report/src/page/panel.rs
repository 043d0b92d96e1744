//! What the page is built of: sections, in them a panel for each run, in them plots and tables.

use super::table::{Table, plain};
use crate::chart::Chart;

/// One question, answered for each run.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) title: &'static str,
    /// How what is shown is to be read.
    pub(super) about: String,
    pub(super) panels: Vec<Panel>,
}

/// One run's part of a section.
#[derive(Clone, Debug, Default)]
pub(super) struct Panel {
    pub(super) run: String,
    pub(super) plots: Vec<Plot>,
    pub(super) tables: Vec<Table>,
    pub(super) lists: Vec<List>,
}

/// Sentences under a heading.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) title: &'static str,
    pub(super) items: Vec<String>,
}

/// A drawing, what it says in words, and the same as a table.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    pub(super) title: String,
    pub(super) svg: String,
    pub(super) points: usize,
    /// Names of the lines, in the order of the inks.
    pub(super) keys: Vec<String>,
    pub(super) table: Table,
}

impl Plot {
    pub(super) fn new(
        title: impl Into<String>,
        keys: &[&str],
        chart: &Chart,
        table: Table,
    ) -> Self {
        Self {
            title: title.into(),
            svg: chart.svg(),
            points: chart.points(),
            keys: keys.iter().map(ToString::to_string).collect(),
            table,
        }
    }
}

impl Panel {
    pub(super) fn is_empty(&self) -> bool {
        self.plots.is_empty() && self.tables.is_empty() && self.lists.is_empty()
    }

    pub(super) fn list(
        &mut self,
        title: &'static str,
        items: impl IntoIterator<Item = impl std::fmt::Display>,
    ) {
        let items: Vec<String> = items.into_iter().map(plain).collect();
        if !items.is_empty() {
            self.lists.push(List { title, items });
        }
    }
}

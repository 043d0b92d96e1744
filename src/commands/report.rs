//! `ossmark report`: one page from run directories.

use std::path::{Path, PathBuf};

use anyhow::Result;
use ossmark_files::Escaped;
use ossmark_report::{Depth, Figures, Run, page, read};
use serde_json::json;

use crate::children;
use crate::cli::ReportArgs;
use crate::exit::Outcome;
use crate::output::{self, Output};
use crate::terminal::say;

pub(crate) fn report(args: &ReportArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut output = output::claim_file(&args.output, args.force)?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let shown = write_page(&args.runs, &mut output)?;
    if let Some(file) = &mut json_file {
        let figures: Vec<&Figures> = shown.iter().map(|(_, figures)| figures).collect();
        file.write_json(&json!({ "runs": figures }))?;
    }
    let mut good = true;
    for (run, figures) in &shown {
        say!("{}: {}", Escaped::path(&run.dir), figures.sentence);
        for limit in &figures.summary.limits {
            say!("  {} {}", limit.name.name(), limit.margin());
        }
        for notice in &figures.notices {
            say!("  {notice}");
        }
        good &= run.problems.is_empty() && run.files.iter().all(|file| file.is_same());
    }
    say!("written: {}", Escaped::path(&args.output));
    // The page is there; that it shows something else than what was judged, or less, is for scripts to know.
    Ok(match good {
        true => Outcome::Good,
        false => Outcome::NotGood,
    })
}

/// Writes the page of the runs in these directories; returns what it shows.
pub(super) fn write_page(dirs: &[PathBuf], output: &mut Output) -> Result<Vec<(Run, Figures)>> {
    let shown = runs(dirs, Depth::Page)?.into_iter().map(|run| {
        let figures = Figures::of(&run);
        (run, figures)
    });
    let shown: Vec<(Run, Figures)> = shown.collect();
    output.write(page(&shown).as_bytes())?;
    Ok(shown)
}

/// Reads runs.
pub(super) fn runs(dirs: &[PathBuf], depth: Depth) -> Result<Vec<Run>> {
    let runs = dirs.iter().map(|dir: &PathBuf| read(Path::new(dir), depth));
    Ok(runs.collect::<Result<_, _>>()?)
}

//! `ossmark peak`: the highest load that passes, with few runs of official length. Which run comes next is decided by
//! `crates/predict`; this makes them (`runs`), keeps what is known (`state`) and tells what came of it (`told`).

mod asked;
mod calibrate;
mod offline;
mod runs;
mod search;
mod state;
mod steps;
mod told;

use std::path::PathBuf;

use anyhow::{Context, Result};
use ossmark_files::{Directory, Escaped, IfExists};
use ossmark_rules::Scenario;

use crate::children;
use crate::cli::PeakArgs;
use crate::exit::Outcome;
use crate::output;
use asked::Asked;
use runs::Runs;
use state::{STATE, State};
use told::Told;

pub(crate) fn peak(args: &PeakArgs) -> Result<Outcome> {
    children::listen()?;
    let asked = Asked::new(args)?;
    // The result of a search that is gone on with takes the place of its own of before.
    let mut json_file = args
        .json
        .as_deref()
        .map(|file| output::claim_as(file, IfExists::MoveAside))
        .transpose()?;
    let (_directory, dir) = directory(args)?;
    let mut state = State::open(&dir, &asked.settings)?;
    state.write()?;
    let runs = Runs::new(&dir, &asked.words);
    let told = match asked.plan.scenario {
        Scenario::Offline => {
            let last = offline::size(args, &asked, &runs, &mut state)?;
            Told::of_offline(&asked, &runs, &dir, &state, last.as_ref())?
        }
        Scenario::Server | Scenario::Interactive => {
            let searched = search::search(args, &asked, &runs, &mut state)?;
            Told::of_search(&asked, &runs, &dir, &searched)?
        }
    };
    if let Some(file) = &mut json_file {
        file.write_json(&told)?;
    }
    Ok(told.print(&dir))
}

/// The output directory, claimed: with the search that it holds, or empty.
fn directory(args: &PeakArgs) -> Result<(Directory, PathBuf)> {
    let holds_a_search = args.output.join(STATE).exists();
    if args.force || !holds_a_search {
        return output::claim_empty_directory(&args.output, args.force)?.make_room();
    }
    let shown = Escaped::path(&args.output);
    let claimed = Directory::claim(&args.output)
        .with_context(|| format!("--output {shown}: cannot have the directory"))?;
    let path = args
        .output
        .canonicalize()
        .with_context(|| format!("--output {shown}"))?;
    Ok((claimed, path))
}

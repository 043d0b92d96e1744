//! `ossmark run`: one LoadGen test. `plan` decides, `execute` does, `finish` interprets and publishes.

mod disk;
mod execute;
mod facts;
mod finish;
pub(crate) mod plan;
mod signals;

use anyhow::Result;

use crate::cli::RunArgs;
use crate::config;
use crate::exit::Outcome;

/// Runs the command.
pub(crate) fn run(args: RunArgs) -> Result<Outcome> {
    let plan = plan::plan(config::merge(args)?)?;
    execute::execute(plan)
}

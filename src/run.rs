//! `ossmark run`: one LoadGen test. `plan` decides, `execute` does, `finish` interprets and publishes.

mod before;
mod disk;
mod early_end;
mod ending;
mod execute;
pub(crate) mod facts;
pub(crate) mod faults;
mod finish;
pub(crate) mod foreseen;
mod hopeless;
pub(crate) mod issued;
mod ledger;
pub(crate) mod logs;
pub(crate) mod metrics;
mod moment;
pub(crate) mod plan;
mod plan_json;
mod power;
mod preview;
mod progress;
pub(crate) mod provenance;
pub(crate) mod recording;
mod requested;
pub(crate) mod responder;
pub(crate) mod rules;
pub(crate) mod serving;
mod signals;
mod start;
pub(crate) mod sut;
mod trace;
pub(crate) mod user_conf;
mod verdict;
mod wiring;

use anyhow::Result;

use crate::cli::RunArgs;
use crate::exit::Outcome;

/// Runs the command.
pub(crate) fn run(args: RunArgs) -> Result<Outcome> {
    let only_tell = args.dry_run;
    let plan = plan::plan(args)?;
    before::tell(&plan)?;
    match only_tell {
        true => preview::preview(&plan),
        false => execute::execute(plan),
    }
}

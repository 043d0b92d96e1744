//! What the official checker lets through: each of the holes in it that are known, and what LoadGen's logs, the user.conf
//! and the compliance runs say about each other. None of these findings is official.

mod accuracy;
mod compliance;
mod figures;
mod files;
mod logs;
mod originals;
mod performance;
mod speculation;
mod user_conf;
mod verification;

use std::collections::HashMap;

use ossmark_rules::Scenario;

use super::run::Run;
use crate::finding::Findings;

pub(crate) use files::REHEARSAL;
pub(super) use files::submitter;
pub use originals::{Originals, Rescored, Scorer};

/// Runs that were seen, by a fingerprint of what cannot be the same in two runs; the value is where.
#[derive(Default)]
pub(super) struct SeenRuns {
    performance: HashMap<String, String>,
    accuracy: HashMap<String, String>,
    /// With a fingerprint of the truncated log that the hash stands beside.
    hashes: HashMap<String, (String, String)>,
}

/// The checks of one result.
pub(super) fn run(run: &Run<'_>, seen: &mut SeenRuns, findings: &mut Findings) {
    files::scenario(run, findings);
    if run.is_endpoints {
        return;
    }
    let performance = performance::check(run, seen, findings);
    accuracy::check(run, seen, findings);
    if !run.system.is_open() {
        compliance::check(run, seen, findings);
    }
    user_conf::check(run, performance.as_ref(), findings);
}

/// Which scenario a directory is for.
pub(super) fn scenario_of(folder: &str) -> Option<Scenario> {
    match folder.to_lowercase().as_str() {
        "offline" => Some(Scenario::Offline),
        "server" => Some(Scenario::Server),
        "interactive" => Some(Scenario::Interactive),
        _ => None,
    }
}

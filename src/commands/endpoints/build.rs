//! `ossmark endpoints build`: a submission's tree; `crates/endpoints` makes it, and checks it once it is there.

use std::path::Path;

use anyhow::Result;
use ossmark_endpoints::build::{self, Options};
use ossmark_endpoints::check::{self, Verdict};
use ossmark_endpoints::client::CountTokens;
use serde_json::{Map, Value};

use super::{Counting, print};
use crate::children;
use crate::cli::EndpointsBuildArgs;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::say;

pub(crate) fn build(args: &EndpointsBuildArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let tree = output::claim_tree(&args.output, args.force)?;
    let tokenizer = Counting::load(args.tokenizer.as_deref())?;
    let tokens = tokenizer
        .as_ref()
        .map(|tokenizer| tokenizer as &dyn CountTokens);
    let written = build::build(Options {
        description: &args.description,
        output: tree.inside(),
        tokens,
        rehearsal: args.rehearsal,
        machine: &machine(),
    })?;
    output::publish(tree)?;
    let organisation = written.first().and_then(|path| path.split('/').next());
    let report = check::check(check::Options {
        tree: &args.output.join(organisation.unwrap_or_default()),
        tokens,
        official_only: false,
        strict: false,
    })?;
    print(&report);
    say!("{} files in {}", written.len(), args.output.display());
    Ok(match report.verdict {
        Verdict::Valid => Outcome::Good,
        Verdict::Invalid => Outcome::NotGood,
    })
}

/// What system_desc.json asks of a node and the system tells; what it does not is left to the description.
fn machine() -> Map<String, Value> {
    let mut found = Map::new();
    let text = |path: &str| ossmark_files::read_to_string(Path::new(path)).unwrap_or_default();
    let cpu = text("/proc/cpuinfo");
    let values = |key: &str| -> Vec<String> {
        let lines = cpu.lines().filter_map(|line| line.split_once(':'));
        let lines = lines.filter(|(name, _)| name.trim() == key);
        lines.map(|(_, value)| value.trim().to_owned()).collect()
    };
    if let Some(model) = values("model name").first() {
        found.insert("host_processor_model_name".into(), model.as_str().into());
    }
    let mut sockets = values("physical id");
    sockets.sort_unstable();
    sockets.dedup();
    let cores = values("cpu cores")
        .first()
        .and_then(|cores| cores.parse::<usize>().ok());
    if let Some(cores) = cores.filter(|_| !sockets.is_empty()) {
        found.insert("host_processors_per_node".into(), sockets.len().into());
        found.insert("host_processor_core_count".into(), cores.into());
    }
    let memory = text("/proc/meminfo");
    let total = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    if let Some(kib) = kib {
        let gib = kib.div_ceil(1 << 20);
        found.insert("host_memory_capacity".into(), format!("{gib} GiB").into());
    }
    let os = text("/etc/os-release");
    let name = os
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    if let Some(name) = name {
        found.insert("operating_system".into(), name.trim_matches('"').into());
    }
    let mounts = text("/proc/mounts");
    let root = mounts
        .lines()
        .rev()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|words| words.get(1) == Some(&"/"));
    if let Some(kind) = root.as_deref().and_then(|words| words.get(2).copied()) {
        found.insert("filesystem".into(), kind.into());
    }
    found
}

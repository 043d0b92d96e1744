//! `ossmark auditor fingerprint`: this machine against its description in a submission.

use std::path::Path;

use anyhow::{Context, Result, bail};
use ossmark_audit::fingerprint::{Claims, Field, Machine, Outcome as Compared, compare};
use ossmark_files::{Brief, Escaped};
use serde::Serialize;
use serde_json::Value;

use crate::children;
use crate::cli::AuditorFingerprintArgs;
use crate::doctor::hardware;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::say;

#[derive(Serialize)]
struct Written<'a> {
    command: &'static str,
    of: String,
    machine: &'a Machine,
    fields: &'a [Field],
    findings: [(); 0],
    not_looked_at: &'a [String],
}

pub(crate) fn fingerprint(args: &AuditorFingerprintArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let system = args
        .system
        .as_ref()
        .map(|file| json("--system", file))
        .transpose()?;
    let plan = args
        .run_plan
        .as_ref()
        .map(|file| json("--run-plan", file))
        .transpose()?;
    let mut claims = plan.as_ref().map(Claims::of_plan).unwrap_or_default();
    if let Some(commit) = &args.commit {
        if commit.len() < 7 || !commit.bytes().all(|b| b.is_ascii_hexdigit()) {
            bail!("--commit {commit}: expected at least 7 hexadecimal digits of a commit");
        }
        claims.commit = Some(commit.clone());
    }
    let mut machine = hardware::machine();
    if let Some(dir) = &args.model {
        hardware::hash_model(dir, &mut machine)?;
    }
    for file in &args.dataset {
        hardware::hash_dataset(file, &mut machine)?;
    }
    if let Some(dir) = &args.source {
        if !dir.is_dir() {
            bail!(
                "--source {}: found no directory, expected a git checkout",
                dir.display()
            );
        }
        hardware::look_at_source(dir, &mut machine);
    } else if plan.is_some() {
        hardware::look_at_this_program(&mut machine);
    }
    let is_compared = system.is_some() || plan.is_some() || args.commit.is_some();
    let fields = match is_compared {
        true => compare(&system.unwrap_or_default(), &claims, &machine),
        false => Vec::new(),
    };
    print(&machine, &fields);
    if let Some(file) = &mut json_file {
        file.write_json(&Written {
            command: "fingerprint",
            of: args
                .system
                .as_ref()
                .map_or_else(String::new, |file| file.display().to_string()),
            machine: &machine,
            fields: &fields,
            findings: [],
            not_looked_at: &machine.not_seen,
        })?;
    }
    Ok(
        match fields
            .iter()
            .any(|field| field.outcome == Compared::Differs)
        {
            true => Outcome::NotGood,
            false => Outcome::Good,
        },
    )
}

/// A description is a few kB.
const MAX_BYTES: usize = 4 << 20;
const MAX_PARTS: usize = 100_000;

fn json(option: &str, file: &Path) -> Result<Value> {
    let shown = format!("{option} {}", file.display());
    let bytes = ossmark_files::read(file).with_context(|| shown.clone())?;
    let parts = bytes.iter().filter(|b| matches!(b, b'[' | b'{')).count();
    if bytes.len() > MAX_BYTES || parts > MAX_PARTS {
        bail!("{shown}: found more than a description has, expected a JSON object");
    }
    match serde_json::from_slice(&bytes) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => bail!("{shown}: found JSON of another kind, expected an object"),
        Err(error) => {
            let error = error.to_string();
            bail!(
                "{shown}: found no JSON ({}), expected an object",
                Brief(&error)
            )
        }
    }
}

fn print(machine: &Machine, fields: &[Field]) {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "not seen".into());
    say!(
        "processor: {}, {} x {} cores",
        text(&machine.cpu),
        machine.packages.unwrap_or(0),
        machine.cores.unwrap_or(0)
    );
    say!(
        "memory: {:.1} GB",
        machine.memory_bytes.unwrap_or(0) as f64 / 1e9
    );
    say!("system: {}, {}", text(&machine.os), text(&machine.kernel));
    let mhz = |mhz: Option<f64>| mhz.map_or("not seen".into(), |mhz| format!("{mhz:.0} MHz"));
    say!(
        "clock: {} base, {} at most",
        mhz(machine.cpu_base_mhz),
        mhz(machine.cpu_mhz)
    );
    for card in &machine.network {
        say!(
            "network: {} ({}), slot {}",
            card.name,
            text(&card.driver),
            text(&card.slot)
        );
    }
    for one in &machine.accelerators {
        say!(
            "accelerator: {}, {} MiB, driver {}, {} MHz at most, ECC {}",
            one.name,
            one.memory_mib.unwrap_or(0),
            text(&one.driver),
            one.mhz.unwrap_or(0.0),
            match one.ecc {
                Some(true) => "on",
                Some(false) => "off",
                None => "not seen",
            }
        );
    }
    if let Some(commit) = &machine.commit {
        say!("source: {commit}");
    }
    for (name, hash) in &machine.hashes {
        say!("sha256 {hash} {name}");
    }
    let mut count = [0; 5];
    for field in fields {
        let (at, word) = match field.outcome {
            Compared::Same => (0, "same      "),
            Compared::Differs => (1, "DIFFERS   "),
            Compared::NotCompared => (2, "read both "),
            Compared::NotSeen => (3, "not seen  "),
            Compared::NotStated => (4, "not stated"),
        };
        count[at] += 1;
        let shown = |text: &Option<String>| Brief(text.as_deref().unwrap_or("-")).to_string();
        say!(
            "{word} {}: stated {}, found {}",
            Escaped(&field.name),
            shown(&field.stated),
            shown(&field.found)
        );
    }
    for what in &machine.not_seen {
        say!("not looked at: {what}");
    }
    if !fields.is_empty() {
        let [same, differ, read, unseen, unstated] = count;
        say!(
            "{same} fields are the same, {differ} differ, {read} are to be read, {unseen} cannot be seen from here, {unstated} are not \
             stated"
        );
    }
}

//! The files of a run: data set, checkpoint, tokenizer, and where its output goes. Opens, and reads as little as it can.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use ossmark_engine::LoadError;
use ossmark_engine::config::ModelConfig;
use ossmark_engine::weights::{Checkpoint, ModelSources};
use ossmark_files::Escaped;
use serde_json::Value;

use super::subject::{Kind, Subject};
use crate::doctor::probes::Probe;
use crate::generator::engine_plan::EnginePlan;
use crate::run::rules::{Audit, OfficialFile};
use crate::terminal::text::counted;

const GIB: f64 = (1_u64 << 30) as f64;
/// Of what the runs write so much more must be free.
const ROOM: f64 = 1.2;

/// Which of the benchmark's files the data set is, and whether the run is made with it.
pub(super) fn dataset(subject: &Subject) -> Probe {
    let plan = &subject.plan;
    let kind = subject.kinds.first().copied().unwrap_or(Kind::Performance);
    let audit = match kind {
        Kind::Test07 => Some(Audit::Test07),
        Kind::Test09 => Some(Audit::Test09),
        Kind::Given => plan
            .loadgen
            .audit_config
            .as_deref()
            .map(|file| Audit::of(&ossmark_files::read_to_string(file).unwrap_or_default())),
        Kind::Performance | Kind::Accuracy | Kind::FindPeak => None,
    };
    let wanted = OfficialFile::wanted(kind.mode(), audit);
    let expected = wanted.map_or("the benchmark's", OfficialFile::name);
    let result = match &plan.dataset {
        None => Err(format!("none, expected the {expected} file")),
        Some(dataset) => {
            let rows = dataset.len();
            let found = OfficialFile::of(dataset);
            let text = format!(
                "{} rows{}, content {}",
                rows,
                found.map_or(String::new(), |file| format!(", the {} file", file.name())),
                dataset.content_sha256
            );
            match found.is_some() && (wanted.is_none() || found == wanted) {
                true => Ok(text),
                false => Err(format!("{text}; expected the {expected} file")),
            }
        }
    };
    let mend = "give it with --dataset (`ossmark dataset inspect` says which file one is)";
    Probe::new("data set", result, mend)
}

/// Whether all files of a checkpoint and of a draft head are there, and whether those that an engine here loads are whole.
///
/// # Errors
///
/// One that is there cannot be opened.
pub(super) fn checkpoint(engine: &EnginePlan) -> Result<Vec<Probe>> {
    let head = engine
        .speculation()
        .map(|s| ("draft head", s.head.as_path()));
    let (model, is_loaded) = match engine {
        EnginePlan::Http { model, .. } => (model.as_deref(), false),
        EnginePlan::Model { weights, .. } => (weights.path(), true),
        EnginePlan::Echo(_) => (None, false),
    };
    let mut probes = Vec::new();
    if let Some(dir) = model {
        let found = match is_loaded {
            true => folder(dir)?.and_then(|found| whole(dir).map(|()| found)),
            false => described(dir),
        };
        probes.push(Probe::new("checkpoint", found, COPY));
    }
    if let Some((name, dir)) = head {
        probes.push(Probe::new(name, folder(dir)?, COPY));
    }
    Ok(probes)
}

const COPY: &str = "copy the checkpoint whole: config.json, every safetensors file that the index names, tokenizer.json";

/// Of servers' model nothing is loaded: its configuration says which it is.
fn described(dir: &Path) -> Result<String, String> {
    let config = ModelConfig::load(dir).map_err(|error| error.to_string())?;
    let layers = config.layers.len();
    Ok(format!("{}: {layers} layers", Escaped::path(dir)))
}

/// As the engine will take it, from the headers of its files: every tensor in its shape, and no file cut short.
fn whole(dir: &Path) -> Result<(), String> {
    let found = || {
        let files = Checkpoint::open(dir)?;
        ModelSources::find(&files, &ModelConfig::load(files.dir())?).map(drop)
    };
    found().map_err(|error: LoadError| error.to_string())
}

fn folder(dir: &Path) -> Result<Result<String, String>> {
    let shown = || Escaped::path(dir).to_string();
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir).with_context(shown)? {
        let name = entry.with_context(shown)?.file_name();
        names.insert(name.to_string_lossy().into_owned());
    }
    let is_read = |name: &&String| name.ends_with(".json") || name.ends_with(".safetensors");
    for name in names.iter().filter(is_read) {
        let file = dir.join(name);
        ossmark_files::open(&file).with_context(|| format!("cannot read {}", file.display()))?;
    }
    if !names.contains("config.json") {
        return Ok(Err(format!("{}: no config.json", shown())));
    }
    let index = dir.join("model.safetensors.index.json");
    let mut wanted = BTreeSet::new();
    if names.contains("model.safetensors.index.json") {
        let text = ossmark_files::read(&index).with_context(|| index.display().to_string())?;
        let json: Value = match serde_json::from_slice(&text) {
            Ok(json) => json,
            Err(error) => return Ok(Err(format!("{}: {error}", index.display()))),
        };
        let files = json["weight_map"].as_object().into_iter().flatten();
        wanted.extend(files.filter_map(|(_, file)| Some(file.as_str()?.to_owned())));
    }
    if wanted.is_empty() && !names.iter().any(|name| name.ends_with(".safetensors")) {
        return Ok(Err(format!("{}: no safetensors file", shown())));
    }
    let missing: Vec<&String> = wanted.difference(&names).collect();
    Ok(match missing.first() {
        Some(first) => Err(format!(
            "{}: {} of {} files are missing, the first: {}",
            shown(),
            missing.len(),
            wanted.len(),
            Escaped(first)
        )),
        None => Ok(format!(
            "{}: {} of weights",
            shown(),
            counted(wanted.len().max(1) as u64, "file")
        )),
    })
}

/// Room for what the runs write.
pub(super) fn output(dir: &Path, bytes: u64) -> Probe {
    // The first directory above it that is there.
    let there = dir
        .ancestors()
        .find(|dir| dir.exists() || dir.as_os_str().is_empty());
    let there = match there {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let needed = bytes as f64 * ROOM;
    let result = match rustix::fs::statvfs(there) {
        Err(error) => Err(format!("{}: {error}", Escaped::path(there))),
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize) as f64;
            let text = format!(
                "{:.2} GiB free at {}, the runs write {:.2} GiB",
                free / GIB,
                Escaped::path(there),
                needed / GIB
            );
            match (there.is_dir(), free >= needed) {
                (false, _) => Err(format!("{} is no directory", Escaped::path(there))),
                (true, true) => Ok(text),
                (true, false) => Err(text),
            }
        }
    };
    Probe::new(
        "output",
        result,
        "free the disk, or give a directory on another with --output",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_whole_or_says_what_is_missing() {
        let tmp = tempfile::tempdir().unwrap();
        let found = || folder(tmp.path()).unwrap();
        let write = |name: &str, text: &str| std::fs::write(tmp.path().join(name), text).unwrap();
        assert!(found().unwrap_err().contains("no config.json"));
        write("config.json", "{}");
        assert!(found().unwrap_err().contains("no safetensors"));
        let index =
            r#"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-2.safetensors"}}"#;
        write("model.safetensors.index.json", index);
        assert!(
            found()
                .unwrap_err()
                .contains("2 of 2 files are missing, the first: m-1")
        );
        write("m-1.safetensors", "");
        assert!(
            found()
                .unwrap_err()
                .contains("1 of 2 files are missing, the first: m-2")
        );
        write("m-2.safetensors", "");
        assert!(found().unwrap().contains("2 files of weights"));
        write("model.safetensors.index.json", "{");
        assert!(found().is_err());
        std::fs::remove_file(tmp.path().join("model.safetensors.index.json")).unwrap();
        assert!(found().is_ok());
        // What cannot be opened is no finding.
        std::fs::create_dir(tmp.path().join("tokenizer.json")).unwrap();
        assert!(folder(tmp.path()).is_err());
    }

    #[test]
    fn a_disk_has_room_or_not() {
        let tmp = tempfile::tempdir().unwrap();
        assert!(output(&tmp.path().join("not/yet/there"), 1).ok);
        let full = output(tmp.path(), u64::MAX / 2);
        assert!(!full.ok && full.found.contains("free at"), "{full:?}");
        let file = tmp.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(output(&file, 1).found.contains("no directory"));
    }
}

//! Output directories and files. Nothing that an earlier run left is ever overwritten or deleted: it is refused, or
//! with `--force` moved aside.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Files that mark a directory as holding a run.
const RUN_FILES: [&str; 5] = [
    "run_plan.json",
    "verdict.json",
    "mlperf_log_summary.txt",
    "mlperf_log_detail.txt",
    "mlperf_log_accuracy.json",
];

/// Refuses, before anything has been started, a directory that could not be claimed.
pub(crate) fn check_directory(dir: &Path, force: bool) -> Result<()> {
    if dir.exists() && !dir.is_dir() {
        bail!(
            "--output {}: found a file, expected a directory or a free name; give another path",
            dir.display()
        );
    }
    match holds_a_run(dir)? {
        Some(found) if !force => bail!(
            "--output {}: already holds a run ({found} is there); give another directory, or --force to move the old one \
             aside",
            dir.display()
        ),
        _ => Ok(()),
    }
}

/// Makes `dir` a directory for a new run and returns its absolute path.
pub(crate) fn claim_directory(dir: &Path, force: bool) -> Result<PathBuf> {
    check_directory(dir, force)?;
    if holds_a_run(dir)?.is_some() {
        let aside = free_name(dir)?;
        fs::rename(dir, &aside).with_context(|| {
            format!(
                "--force: cannot move {} to {}",
                dir.display(),
                aside.display()
            )
        })?;
        eprintln!("moved the earlier run aside: {}", aside.display());
    }
    fs::create_dir_all(dir)
        .with_context(|| format!("--output {}: cannot create the directory", dir.display()))?;
    let probe = dir.join(".ossmark-write-test");
    fs::write(&probe, b"ossmark")
        .and_then(|()| fs::remove_file(&probe))
        .with_context(|| format!("--output {}: the directory is not writable", dir.display()))?;
    dir.canonicalize()
        .with_context(|| format!("--output {}", dir.display()))
}

/// Makes sure that `file` can be written without losing an earlier one.
pub(crate) fn claim_file(file: &Path, force: bool) -> Result<()> {
    if file.exists() {
        if !force {
            bail!(
                "{}: already exists; give another name, or --force to move the old one aside",
                file.display()
            );
        }
        let aside = free_name(file)?;
        fs::rename(file, &aside).with_context(|| {
            format!(
                "--force: cannot move {} to {}",
                file.display(),
                aside.display()
            )
        })?;
    }
    Ok(())
}

/// Writes a whole file or leaves none: a reader never sees half of it.
pub(crate) fn write_whole(file: &Path, content: &[u8]) -> Result<()> {
    let dir = file
        .parent()
        .filter(|d| !d.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = file
        .file_name()
        .with_context(|| format!("{}: not a file name", file.display()))?;
    let temporary = dir.join(format!(
        ".{}.{}",
        name.to_string_lossy(),
        std::process::id()
    ));
    let write = || -> std::io::Result<()> {
        let mut f = fs::File::create(&temporary)?;
        f.write_all(content)?;
        f.sync_all()?;
        fs::rename(&temporary, file)
    };
    write().with_context(|| {
        let _ = fs::remove_file(&temporary);
        format!("cannot write {}", file.display())
    })
}

/// `write_whole` of pretty JSON.
pub(crate) fn write_json(file: &Path, value: &impl serde::Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)
        .with_context(|| format!("cannot serialise {}", file.display()))?;
    text.push(b'\n');
    write_whole(file, &text)
}

fn holds_a_run(dir: &Path) -> Result<Option<String>> {
    if !dir.exists() {
        return Ok(None);
    }
    let entries =
        fs::read_dir(dir).with_context(|| format!("--output {}: cannot read", dir.display()))?;
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if RUN_FILES.contains(&name.as_str()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn free_name(path: &Path) -> Result<PathBuf> {
    let name = path
        .file_name()
        .with_context(|| format!("{}: has no name of its own", path.display()))?;
    for n in 1..10_000 {
        let candidate = path.with_file_name(format!("{}.old.{n}", name.to_string_lossy()));
        if !candidate.exists() {
            return Ok(candidate);
        }
    }
    bail!(
        "{}: ten thousand old ones already lie beside it; clean up",
        path.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_refused_and_moved_aside_by_force() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("run");
        claim_directory(&dir, false).unwrap();
        claim_directory(&dir, false).expect("an empty directory is free");
        fs::write(dir.join("verdict.json"), "1").unwrap();
        let refused = claim_directory(&dir, false).unwrap_err().to_string();
        assert!(
            refused.contains("already holds a run (verdict.json"),
            "{refused}"
        );
        claim_directory(&dir, true).unwrap();
        assert!(!dir.join("verdict.json").exists());
        assert_eq!(
            fs::read_to_string(tmp.path().join("run.old.1/verdict.json")).unwrap(),
            "1"
        );
    }
}

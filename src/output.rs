//! Output directories and files. Nothing that an earlier run left is ever overwritten or deleted: it is refused, or
//! with `--force` moved aside. Nothing is shared: what is claimed here no other ossmark writes at the same time.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use ossmark_files::{Claim, Escaped, IfExists, is_stdout};

use crate::terminal::{note, take_stdout};

/// Files that mark a directory as holding a run.
const RUN_FILES: [&str; 5] = [
    "run_plan.json",
    "verdict.json",
    ossmark_logs::SUMMARY,
    ossmark_logs::DETAIL,
    ossmark_logs::ACCURACY,
];

/// A directory that belongs to this process until it is dropped.
pub(crate) struct Directory {
    directory: ossmark_files::Directory,
    /// A file that shows that there is something to lose.
    holds: Option<String>,
}

impl Directory {
    /// Moves what it holds aside and returns it, empty, with its absolute path.
    pub(crate) fn make_room(self) -> Result<(ossmark_files::Directory, PathBuf)> {
        let name = self.directory.path().to_owned();
        let shown = Escaped::path(&name);
        let mut directory = self.directory;
        if self.holds.is_some() {
            let (empty, aside) = directory
                .make_room()
                .with_context(|| format!("--force: cannot move {shown} aside"))?;
            note!("moved the earlier one aside: {}", aside.display());
            directory = empty;
        }
        let path = name
            .canonicalize()
            .with_context(|| format!("--output {shown}"))?;
        Claim::new(&path.join("write-test"), IfExists::Replace)
            .with_context(|| format!("--output {shown}: the directory is not writable"))?;
        Ok((directory, path))
    }
}

/// Claims a directory for a new run; one that holds a run is refused, or will make room.
pub(crate) fn claim_directory(dir: &Path, force: bool) -> Result<Directory> {
    claim(dir, force, "already holds a run", |name| {
        RUN_FILES.contains(&name)
    })
}

/// Claims a directory that has to be empty.
pub(crate) fn claim_empty_directory(dir: &Path, force: bool) -> Result<Directory> {
    // What a process that was killed had begun to write is nothing.
    claim(dir, force, "already exists and is not empty", |name| {
        !ossmark_files::is_part(name.as_ref())
    })
}

fn claim(dir: &Path, force: bool, what: &str, counts: impl Fn(&str) -> bool) -> Result<Directory> {
    let shown = Escaped::path(dir);
    refuse_stdout("--output", dir)?;
    let directory = ossmark_files::Directory::claim(dir).map_err(|error| match error.kind() {
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => anyhow!(
            "--output {shown}: found a file, expected a directory or a free name; give another path"
        ),
        _ => anyhow!(error).context(format!("--output {shown}: cannot have the directory")),
    })?;
    let mut holds = None;
    let entries = fs::read_dir(dir).with_context(|| format!("--output {shown}: cannot read"))?;
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if counts(&name) {
            holds = Some(name);
            break;
        }
    }
    match &holds {
        Some(found) if !force => bail!(
            "--output {shown}: {what} ({} is there); give another directory, or --force to move the old one aside",
            Escaped(found)
        ),
        _ => Ok(Directory { directory, holds }),
    }
}

fn refuse_stdout(option: &str, path: &Path) -> Result<()> {
    if is_stdout(path) {
        bail!(
            "{option} {}: is standard output, expected a directory; give a path (./- for one of that name)",
            path.display()
        );
    }
    Ok(())
}

/// A file that this process will write, or standard output.
#[must_use = "a claim that is dropped is given up"]
pub(crate) struct Output(Claim);

/// Makes sure that `file` can be written without losing an earlier one, and that nobody else writes it meanwhile. `-` and
/// /dev/stdout are standard output, and people's text then goes to standard error.
pub(crate) fn claim_file(file: &Path, force: bool) -> Result<Output> {
    claim_as(file, if_exists(force))
}

fn if_exists(force: bool) -> IfExists {
    match force {
        true => IfExists::MoveAside,
        false => IfExists::Refuse,
    }
}

/// [`claim_file`], for one that may be this command's own of before.
pub(crate) fn claim_as(file: &Path, if_exists: IfExists) -> Result<Output> {
    if is_stdout(file) {
        return Ok(Output(Claim::stream(file, take_stdout()?)?));
    }
    let shown = Escaped::path(file);
    match Claim::new(file, if_exists) {
        Ok(claim) => Ok(Output(claim)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => bail!(
            "{shown}: already exists; give another name, or move it away (--force does that, where the command has it)"
        ),
        Err(error) => Err(error).with_context(|| format!("{shown}: cannot be written")),
    }
}

/// [`claim_file`] of an option's file, where it is given.
pub(crate) fn claim_optional(file: Option<&PathBuf>, force: bool) -> Result<Option<Output>> {
    file.map(|file| claim_file(file, force)).transpose()
}

/// A directory that appears under its name when all of it is there.
pub(crate) fn claim_tree(dir: &Path, force: bool) -> Result<ossmark_files::StagedDirectory> {
    refuse_stdout("--output", dir)?;
    ossmark_files::StagedDirectory::claim(dir, if_exists(force)).map_err(|error| {
        match error.kind() {
            ErrorKind::AlreadyExists => anyhow!(
                "{}: already exists; give another name, or --force to move the old one aside",
                Escaped::path(dir)
            ),
            _ => anyhow!(error).context(format!("{}: cannot be written", Escaped::path(dir))),
        }
    })
}

/// Gives a finished tree its name.
pub(crate) fn publish(tree: ossmark_files::StagedDirectory) -> Result<()> {
    let name = tree.path().to_owned();
    let moved = tree.publish();
    note_moved(moved.with_context(|| format!("cannot write {}", Escaped::path(&name)))?);
    Ok(())
}

impl Output {
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.0.is_stream()
    }

    /// A whole file or none: a reader never sees half of it.
    pub(crate) fn write(&mut self, content: &[u8]) -> Result<()> {
        self.with(|claim| claim.write(content))
    }

    /// `write` of pretty JSON.
    pub(crate) fn write_json(&mut self, value: &impl serde::Serialize) -> Result<()> {
        self.write(&json(self.path(), value)?)
    }

    /// Has somebody else write it.
    pub(crate) fn with<E: Into<anyhow::Error>>(
        &mut self,
        write: impl FnOnce(&mut Claim) -> Result<Option<PathBuf>, E>,
    ) -> Result<()> {
        let path = self.path().to_owned();
        match write(&mut self.0).map_err(Into::into) {
            Ok(moved) => {
                note_moved(moved);
                Ok(())
            }
            // Whoever read it has seen enough.
            Err(error) if self.is_stream() && is_closed_pipe(&error) => Ok(()),
            Err(error) => Err(error.context(format!("cannot write {}", Escaped::path(&path)))),
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref());
    kinds
        .map(std::io::Error::kind)
        .any(|kind| kind == ErrorKind::BrokenPipe)
}

fn note_moved(moved: Option<PathBuf>) {
    if let Some(aside) = moved {
        note!("moved the earlier one aside: {}", aside.display());
    }
}

/// A file in a directory that is this process's own.
pub(crate) fn write_whole(file: &Path, content: &[u8]) -> Result<()> {
    ossmark_files::write_whole(file, content)
        .with_context(|| format!("cannot write {}", Escaped::path(file)))
}

/// `write_whole` of pretty JSON.
pub(crate) fn write_json(file: &Path, value: &impl serde::Serialize) -> Result<()> {
    write_whole(file, &json(file, value)?)
}

fn json(file: &Path, value: &impl serde::Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_string_pretty(value)
        .map(ossmark_files::quiet_json)
        .with_context(|| format!("cannot serialise {}", Escaped::path(file)))?;
    text.push('\n');
    Ok(text.into_bytes())
}

/// A line of JSON, for files of such lines. Whoever looks at it sees characters only, as in all JSON written here.
pub(crate) fn json_line(value: &impl serde::Serialize) -> Result<String> {
    let line = serde_json::to_string(value).context("cannot write an answer as JSON")?;
    Ok(ossmark_files::quiet_json(line) + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_no_control_characters_and_the_same_values() {
        let value =
            serde_json::json!({ "a\u{9b}31m": "b\u{202e}\u{7f}\u{1b}\u{e0041}\n", "plain": "é" });
        let pretty = String::from_utf8(json(Path::new("x"), &value).unwrap()).unwrap();
        for text in [pretty, json_line(&value).unwrap()] {
            for line in text.lines() {
                assert_eq!(Escaped(line).to_string(), line);
            }
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read, value);
        }
    }

    #[test]
    fn a_run_is_refused_and_moved_aside_by_force() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("run");
        let claimed = claim_directory(&dir, false).unwrap();
        let busy = format!("{:#}", claim_directory(&dir, true).err().unwrap());
        assert!(busy.contains("another process"), "{busy}");
        drop(claimed);
        let (_held, _) = claim_directory(&dir, false).unwrap().make_room().unwrap();
        drop(_held);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("verdict.json"), "1").unwrap();
        let refused = claim_directory(&dir, false).err().unwrap().to_string();
        assert!(
            refused.contains("already holds a run (verdict.json"),
            "{refused}"
        );
        let (_held, path) = claim_directory(&dir, true).unwrap().make_room().unwrap();
        assert!(!path.join("verdict.json").exists());
        assert_eq!(
            fs::read_to_string(tmp.path().join("run.old.1/verdict.json")).unwrap(),
            "1"
        );
    }
}

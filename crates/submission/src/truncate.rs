//! `submission truncate`: accuracy logs are handed in as their first and last characters, with the SHA-256 of the whole in
//! accuracy.txt. Leaves the tree as MLCommons' truncate_accuracy_log.py does, and beyond that: the originals and a manifest
//! go to the backup first, a second run changes nothing, and the hash of a whole log is never replaced by that of its
//! truncated remains.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ossmark_files::{Directory, copy_whole, make_directories};
use ossmark_logs::ACCURACY;
use ossmark_rules::rules;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::check::hash_in;
use crate::error::Error;
use crate::python;
use crate::tree::{TEXT_LIMIT, Text, directories, exists, read_text};

/// What stands between the two ends of a truncated log. Source: truncate_accuracy_log.py.
pub(crate) const MARK: &str = "\n\n...\n\n";
/// In the backup directory.
const MANIFEST: &str = "manifest.json";

/// What to truncate, and where the originals go.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The directory that holds closed/, open/ or network/.
    pub input: &'a Path,
    /// Only this submitter's directories.
    pub submitter: &'a str,
    /// Outside the tree; kept by the submitter in case MLCommons asks for the logs.
    pub backup: &'a Path,
}

/// What was done to one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "action", content = "why")]
pub enum Action {
    /// Cut, and its hash written down.
    Truncated,
    /// Short enough to stay whole; its hash written down.
    Hashed,
    /// Nothing was left to do.
    AlreadyDone,
    /// Left as it was: why.
    Problem(String),
}

/// One log.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// From the root of the tree.
    pub path: String,
    /// What was done to it.
    #[serde(flatten)]
    pub action: Action,
}

/// An original in the backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Original {
    sha256: String,
    bytes: u64,
    /// Of what is left in the tree.
    truncated_sha256: String,
    /// accuracy.txt as it was, where it was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accuracy_txt_before: Option<String>,
}

/// Truncates every accuracy log of a submitter.
///
/// # Errors
/// [`Error::NotATree`] when `input` is no directory, [`Error::BackupInside`], and [`Error::Io`] for what cannot be read or
/// written; logs that were done before stay done.
pub fn truncate(options: Options<'_>) -> Result<Vec<Line>, Error> {
    crate::tree::expect_directory(options.input)?;
    // Until the end nobody else changes the tree or the backup.
    let _held = Directory::claim(options.backup).map_err(Error::io("write to", options.backup))?;
    let real = |path: &Path| path.canonicalize().map_err(Error::io("read", path));
    if real(options.backup)?.starts_with(real(options.input)?) {
        return Err(Error::BackupInside {
            backup: options.backup.into(),
            input: options.input.into(),
        });
    }
    let mut job = Job {
        options,
        manifest: read_manifest(options.backup)?,
        lines: Vec::new(),
    };
    for scenario in scenarios(options) {
        job.one(&scenario, false)?;
        for test in ["TEST01", "TEST07", "TEST09"] {
            if options.input.join(&scenario).join(test).is_dir() {
                job.one(&scenario.join(test), test != "TEST01")?;
            }
        }
    }
    Ok(job.lines)
}

/// A log that was cut for a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Of the whole log, where accuracy.txt beside it says it.
    pub sha256: Option<String>,
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "found a log that was truncated for a submission (its first and last characters), expected the whole log; ask the \
             submitter for the original",
        )?;
        match &self.sha256 {
            Some(hash) => write!(f, " with sha256 {hash} (hash= in accuracy.txt)"),
            None => f.write_str(" (accuracy.txt beside it has no hash= of it)"),
        }
    }
}

/// Whether a log is one that was cut; None for one that is whole, or that is no log at all.
pub fn cut(log: &Path) -> Option<Cut> {
    let limit = rules().accuracy.max_log_bytes.value;
    let size = fs::metadata(log).ok().filter(fs::Metadata::is_file)?.len();
    if size > limit || !ossmark_files::read(log).is_ok_and(|bytes| is_marked(&bytes)) {
        return None;
    }
    let text = read_text(&log.with_file_name("accuracy.txt"), TEXT_LIMIT);
    let sha256 = match &text {
        Text::Read(text) => python::lines(text).filter_map(hash_in).last(),
        _ => None,
    };
    Some(Cut {
        sha256: sha256.map(|hash| ossmark_files::Escaped(hash).to_string()),
    })
}

/// Scenario directories, from the root of the tree.
fn scenarios(options: Options<'_>) -> Vec<PathBuf> {
    let below = |dir: PathBuf| {
        let names = directories(&options.input.join(&dir)).unwrap_or_default();
        names
            .into_iter()
            .map(move |name| dir.join(name))
            .collect::<Vec<_>>()
    };
    let divisions = rules().submission.divisions.value.iter().map(PathBuf::from);
    let results = divisions.map(|division| division.join(options.submitter).join("results"));
    results
        .flat_map(below)
        .flat_map(below)
        .flat_map(below)
        .collect()
}

struct Job<'a> {
    options: Options<'a>,
    manifest: BTreeMap<String, Original>,
    lines: Vec<Line>,
}

impl Job<'_> {
    /// The log of one run. The accuracy.txt of a compliance test holds the hash and nothing else.
    fn one(&mut self, run: &Path, is_test: bool) -> Result<(), Error> {
        let accuracy = run.join("accuracy");
        let log = self.options.input.join(&accuracy).join(ACCURACY);
        if !exists(&log)
            && ["config.yaml", "config.yml"]
                .iter()
                .any(|f| exists(&self.options.input.join(run).join(f)))
        {
            // The layout of mlcommons/endpoints has no such log.
            return Ok(());
        }
        let path = accuracy.join(ACCURACY).to_string_lossy().into_owned();
        let action = self.truncate(&path, &accuracy, &log, is_test)?;
        self.lines.push(Line { path, action });
        Ok(())
    }

    fn truncate(
        &mut self,
        path: &str,
        accuracy: &Path,
        log: &Path,
        is_test: bool,
    ) -> Result<Action, Error> {
        let problem = |why: &str| Ok(Action::Problem(why.into()));
        let Ok(metadata) = fs::metadata(log) else {
            return problem("not found, expected the log of the accuracy run");
        };
        if !metadata.is_file() {
            return problem("found no regular file");
        }
        let rules = &rules().accuracy;
        let size = metadata.len();
        let text_file = log.with_file_name("accuracy.txt");
        let text = match read_text(&text_file, TEXT_LIMIT) {
            Text::Read(text) => Some(text),
            Text::Missing if is_test => None,
            Text::Missing => {
                return problem(
                    "found no accuracy.txt beside it; write the scorer's output there first (`ossmark score --accuracy-txt`)",
                );
            }
            Text::Unreadable(why) => return problem(&format!("accuracy.txt: {why}")),
            Text::TooLarge(size) => {
                return problem(&format!(
                    "accuracy.txt: found {size} bytes, expected the scorer's output"
                ));
            }
        };
        let hashes: Vec<&str> = text
            .iter()
            .flat_map(|text| python::lines(text))
            .filter_map(hash_in)
            .collect();
        let is_truncated = size <= rules.max_log_bytes.value
            && ossmark_files::read(log).is_ok_and(|bytes| is_marked(&bytes));
        if is_truncated || (!is_test && size < rules.max_log_bytes.value) {
            match hashes.is_empty() {
                false => return Ok(Action::AlreadyDone),
                true if is_truncated => {
                    return problem(
                        "found it truncated already and no hash of the whole log; restore the original",
                    );
                }
                true => {}
            }
        }
        // Below the hash of another log the official tool writes a second one, and so does this.
        let hash = sha256_of(log)?;
        let is_known = hashes.iter().any(|known| known.eq_ignore_ascii_case(&hash));
        if is_known && size < rules.viewable_bytes.value {
            return Ok(Action::AlreadyDone);
        }
        let kept = remains(log, size, rules.viewable_bytes.value)?;
        let copy = self.options.backup.join(accuracy).join(ACCURACY);
        if !self.keep(log, &copy, &hash)? {
            return problem(&format!(
                "found another log in the backup ({}); give another --backup",
                copy.display()
            ));
        }
        self.manifest.insert(
            path.into(),
            Original {
                sha256: hash.clone(),
                bytes: size,
                truncated_sha256: kept.as_deref().map_or_else(|| hash.clone(), digest),
                accuracy_txt_before: text.clone().filter(|_| is_test && !is_known),
            },
        );
        let manifest = serde_json::to_vec_pretty(&self.manifest).unwrap_or_default();
        write_whole(&self.options.backup.join(MANIFEST), &manifest)?;
        if !is_known {
            let text = match text {
                Some(text) if !is_test => format!("{text}\nhash={hash}\n"),
                _ => format!("hash={hash}\n"),
            };
            write_whole(&text_file, text.as_bytes())?;
        }
        match kept {
            None => Ok(Action::Hashed),
            Some(kept) => write_whole(log, &kept).map(|()| Action::Truncated),
        }
    }

    /// Copies an original aside; false when another one lies there.
    fn keep(&self, log: &Path, copy: &Path, hash: &str) -> Result<bool, Error> {
        if exists(copy) {
            let is_it = sha256_of(copy)? == hash;
            if is_it || !is_torn(copy, log).map_err(Error::io("read", copy))? {
                return Ok(is_it);
            }
        }
        let dir = copy.parent().unwrap_or(self.options.backup);
        make_directories(dir).map_err(Error::io("create", dir))?;
        copy_whole(log, copy).map_err(Error::io("write", copy))?;
        // The original is cut next: what was written must be it.
        Ok(sha256_of(copy)? == hash)
    }
}

/// Whether `copy` holds the beginning of `log` and after it nothing, or zeros: a kill or a power cut left it so.
fn is_torn(copy: &Path, log: &Path) -> io::Result<bool> {
    let (mut copy, mut log) = (ossmark_files::open(copy)?, ossmark_files::open(log)?);
    if copy.metadata()?.len() > log.metadata()?.len() {
        return Ok(false);
    }
    let (mut ours, mut theirs) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut is_same = true;
    loop {
        let n = copy.read(&mut ours)?;
        if n == 0 {
            return Ok(true);
        }
        log.read_exact(&mut theirs[..n])?;
        for (ours, theirs) in ours[..n].iter().zip(&theirs[..n]) {
            is_same &= ours == theirs;
            if !is_same && *ours != 0 {
                return Ok(false);
            }
        }
    }
}

pub(crate) fn is_marked(bytes: &[u8]) -> bool {
    bytes
        .windows(MARK.len())
        .any(|window| window == MARK.as_bytes())
}

/// Both ends with the mark between them; None for a log that stays whole. From 4096 bytes on the two ends are written even
/// where they overlap, as the official tool does.
pub(crate) fn remains(log: &Path, size: u64, viewable: u64) -> Result<Option<Vec<u8>>, Error> {
    if size < viewable {
        return Ok(None);
    }
    let read = || -> io::Result<Vec<u8>> {
        let mut file = ossmark_files::open(log)?;
        let mut kept = Vec::new();
        (&mut file).take(viewable).read_to_end(&mut kept)?;
        kept.extend_from_slice(MARK.as_bytes());
        file.seek(SeekFrom::Start(size - viewable))?;
        file.take(viewable).read_to_end(&mut kept)?;
        Ok(kept)
    };
    read().map(Some).map_err(Error::io("read", log))
}

fn read_manifest(backup: &Path) -> Result<BTreeMap<String, Original>, Error> {
    let file = backup.join(MANIFEST);
    match read_text(&file, TEXT_LIMIT) {
        Text::Missing => Ok(BTreeMap::new()),
        Text::Read(text) => {
            serde_json::from_str(&text).map_err(|e| Error::io("read", &file)(io::Error::other(e)))
        }
        Text::Unreadable(why) => Err(Error::io("read", &file)(io::Error::other(why))),
        Text::TooLarge(_) => Err(Error::io("read", &file)(io::Error::other(
            "not the manifest of a backup",
        ))),
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The SHA-256 of a file, read as a stream.
pub(crate) fn sha256_of(path: &Path) -> Result<String, Error> {
    ossmark_files::open(path)
        .and_then(|mut file| hash(&mut file))
        .map_err(Error::io("read", path))
}

pub(crate) fn hash(file: &mut File) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A reader sees the old file or the new one, never a part.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), Error> {
    ossmark_files::write_whole(path, content).map_err(Error::io("write", path))
}

//! What a run left in its log directory, read back for the verdict. Reads only; every problem becomes a sentence.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use ossmark_logs::detail_log::DetailLog;
use ossmark_logs::{ACCURACY, DETAIL, SUMMARY};
use ossmark_score::LogReader;
use ossmark_telemetry::Window;
use serde_json::Value;

use super::verdict::LogFacts;

/// SHA-256 of every file of a finished run that somebody may ask about later.
pub(crate) fn hashes(
    dir: &Path,
    record: Option<&ossmark_record::Outcome>,
    power: bool,
) -> Result<BTreeMap<&'static str, String>> {
    let is_recorded = |name: &&str| {
        let files = record.into_iter().flat_map(|record| &record.files);
        files
            .filter_map(|file| file.file_name())
            .any(|file| file == *name)
    };
    let recorded = [ossmark_record::SAMPLES, ossmark_record::TIMELINE];
    [SUMMARY, DETAIL, ACCURACY, "run_plan.json"]
        .into_iter()
        .chain(recorded.into_iter().filter(is_recorded))
        .chain(power.then_some(ossmark_telemetry::POWER))
        .filter(|name| dir.join(name).is_file())
        .map(|name| Ok((name, ossmark_dataset::file_sha256(&dir.join(name))?)))
        .collect()
}

/// Reads the logs in `dir`.
pub(crate) fn read(dir: &Path, is_accuracy: bool) -> LogFacts {
    let mut facts = LogFacts::default();
    match DetailLog::read(&dir.join(DETAIL)) {
        Ok(log) => {
            facts.window = Window::of_log(&log).ok();
            facts.complete = log.is_complete() && !log.truncated;
            facts.warnings = log.warning_count;
            facts.error_count = log.error_count;
            facts.errors = log.errors;
            facts.entries = log
                .entries
                .into_iter()
                .map(|entry| (entry.key, entry.value))
                .collect();
        }
        Err(error) => facts.unreadable.push(error.to_string()),
    }
    if is_accuracy {
        match read_accuracy(&dir.join(ACCURACY)) {
            Ok(samples) => facts.logged_samples = Some(samples),
            Err(error) => facts.unreadable.push(format!("{error:#}")),
        }
    }
    facts
}

/// The samples of an accuracy log in its order. Each entry's token count must agree with its data.
pub(crate) fn read_accuracy(file: &Path) -> Result<Vec<u64>> {
    let mut samples = Vec::new();
    for_each_entry(file, |sample, _| samples.push(sample))?;
    Ok(samples)
}

/// All answers of an accuracy log: sample and tokens. For small logs.
pub(crate) fn read_answers(file: &Path) -> Result<Vec<(u64, Vec<u32>)>> {
    let mut answers = Vec::new();
    for_each_entry(file, |sample, tokens| answers.push((sample, tokens)))?;
    Ok(answers)
}

/// Stricter than the scorer, which must put up with whatever the reference does: this is a log that we just wrote.
fn for_each_entry(file: &Path, mut each: impl FnMut(u64, Vec<u32>)) -> Result<()> {
    let mut log = LogReader::open(file)?;
    while let Some(raw) = log.next_raw()? {
        let entry = raw.parse(file)?;
        let place = || format!("{}: entry {}", file.display(), raw.number);
        let sample = entry.index().with_context(place)?;
        let tokens = entry.tokens(file)?;
        let counted = entry.token_count.as_ref().and_then(Value::as_u64);
        if counted != Some(tokens.len() as u64) {
            bail!(
                "{}: sample {sample} has {} tokens of data, expected the {} that it counts",
                place(),
                tokens.len(),
                counted.unwrap_or_default()
            );
        }
        each(sample, tokens);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join(ACCURACY);
        std::fs::write(&file, text).unwrap();
        (tmp, file)
    }

    #[test]
    fn reads_what_loadgen_writes() {
        let (_tmp, file) = with(
            "[\n{ \"seq_id\" : 0, \"qsl_idx\" : 5, \"data\" : \"0100000000010000\", \"token_count\" : 2 },\n{ \"seq_id\" : 1, \
             \"qsl_idx\" : 3, \"data\" : \"FF000000\", \"token_data\" : \"FF000000\", \"token_count\" : 1 }\n]\n",
        );
        assert_eq!(read_accuracy(&file).unwrap(), [5, 3]);
        assert_eq!(
            read_answers(&file).unwrap(),
            [(5, vec![1, 256]), (3, vec![255])]
        );
    }

    #[test]
    fn a_log_that_is_cut_off_or_lies_is_refused() {
        for (text, expected) in [
            (
                "[\n{ \"seq_id\" : 0, \"qsl_idx\" : 5, \"data\" : \"01000000\", \"token_count\" : 1 },\n",
                "not written to its end",
            ),
            (
                "[\n{ \"seq_id\" : 0, \"qsl_idx\" : 5, \"data\" : \"0100",
                "not written to its end",
            ),
            (
                "[\n{ \"seq_id\" : 0, \"qsl_idx\" : 5, \"data\" : \"01000000\", \"token_count\" : 2 }\n]\n",
                "the 2 that it counts",
            ),
        ] {
            let (_tmp, file) = with(text);
            let error = format!("{:#}", read_accuracy(&file).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}

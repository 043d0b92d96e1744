//! What a run left in its log directory, read back for the verdict. Reads only; every problem becomes a sentence.

use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail};
use ossmark_loadgen::detail_log::DetailLog;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::verdict::LogFacts;

pub(crate) const DETAIL: &str = "mlperf_log_detail.txt";
pub(crate) const ACCURACY: &str = "mlperf_log_accuracy.json";

/// Reads the logs in `dir`.
pub(crate) fn read(dir: &Path, is_accuracy: bool) -> LogFacts {
    let mut facts = LogFacts::default();
    match DetailLog::read(&dir.join(DETAIL)) {
        Ok(log) => {
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

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(rename = "seq_id")]
    _seq_id: IgnoredAny,
    qsl_idx: u64,
    #[serde(borrow)]
    data: &'a str,
    token_count: Option<u64>,
}

/// Bytes of one token in the log: int32, two hexadecimal digits a byte.
const HEX_PER_TOKEN: u64 = 8;

/// The samples of an accuracy log in its order. LoadGen writes one entry a line, so that a log of gigabytes needs the
/// memory of one answer. Each entry's token count must agree with its data.
pub(crate) fn read_accuracy(file: &Path) -> Result<Vec<u64>> {
    let mut samples = Vec::new();
    for_each_entry(file, |entry| {
        samples.push(entry.qsl_idx);
        Ok(())
    })?;
    Ok(samples)
}

/// All answers of an accuracy log: sample and tokens. For small logs.
pub(crate) fn read_answers(file: &Path) -> Result<Vec<(u64, Vec<u32>)>> {
    let mut answers = Vec::new();
    for_each_entry(file, |entry| {
        let digits = entry.data.as_bytes().chunks_exact(HEX_PER_TOKEN as usize);
        let tokens = digits.map(|hex| {
            let hex = std::str::from_utf8(hex).context("not hexadecimal")?;
            // The bytes of an int32, the lowest first.
            Ok(u32::from_str_radix(hex, 16)
                .with_context(|| format!("{hex} is not hexadecimal"))?
                .swap_bytes())
        });
        answers.push((entry.qsl_idx, tokens.collect::<Result<_>>()?));
        Ok(())
    })?;
    Ok(answers)
}

fn for_each_entry(file: &Path, mut each: impl FnMut(Response<'_>) -> Result<()>) -> Result<()> {
    let name = || file.display().to_string();
    let reader = BufReader::new(std::fs::File::open(file).with_context(name)?);
    let mut closed = false;
    for (n, line) in reader.lines().enumerate() {
        let place = || format!("{}:{}", file.display(), n + 1);
        let line = line.with_context(place)?;
        match line.trim().trim_end_matches(',') {
            "" | "[" => {}
            "]" => closed = true,
            entry => {
                let response: Response<'_> = serde_json::from_str(entry)
                    .with_context(|| format!("{}: not an entry of an accuracy log", place()))?;
                let counted = response.token_count.unwrap_or_default();
                if counted.checked_mul(HEX_PER_TOKEN) != Some(response.data.len() as u64) {
                    bail!(
                        "{}: sample {} has {} hexadecimal digits of data, expected {HEX_PER_TOKEN} for each of its {counted} \
                         tokens",
                        place(),
                        response.qsl_idx,
                        response.data.len()
                    );
                }
                each(response).with_context(place)?;
            }
        }
    }
    if !closed {
        bail!(
            "{}: the log is not closed (no ] at its end): it was not written to the end",
            file.display()
        );
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
                "not closed",
            ),
            (
                "[\n{ \"seq_id\" : 0, \"qsl_idx\" : 5, \"data\" : \"0100",
                ":2: not an entry",
            ),
            (
                "[\n{ \"seq_id\" : 0, \"qsl_idx\" : 5, \"data\" : \"01000000\", \"token_count\" : 2 }\n]\n",
                "its 2 tokens",
            ),
        ] {
            let (_tmp, file) = with(text);
            let error = format!("{:#}", read_accuracy(&file).unwrap_err());
            assert!(error.contains(expected), "{error}");
        }
    }
}

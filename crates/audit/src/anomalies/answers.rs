//! Answers that are the same, token for token. At temperature 1 two answers of a hundred tokens and more are not, whatever they
//! answer.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use ossmark_logs::ACCURACY;

use crate::finding::{Finding, Findings, Level};
use crate::kind::Kind;
use crate::read;

/// Hexadecimal digits of a token.
const DIGITS: usize = 8;
/// Tokens from which on two equal answers are asked about, and from which on they are worth knowing: small models have little
/// to choose.
const ASK: usize = 256;
const NOTE: usize = 64;
/// The longest answer has 32,768 tokens.
const MAX_LINE: u64 = 4 << 20;
const MAX_ENTRIES: usize = 1 << 20;

/// A whole accuracy log, an entry a line.
pub(super) fn of_log(dir: &Path, place: &str, found: &mut Findings) {
    let Ok(file) = ossmark_files::open(&dir.join(ACCURACY)) else {
        return found.skip(format!("{place}: answers; there is no {ACCURACY}"));
    };
    let mut file = BufReader::new(file);
    let mut seen: HashMap<(u64, usize), u64> = HashMap::new();
    let (mut line, mut long, mut noted) = (Vec::new(), 0, 0);
    for _ in 0..MAX_ENTRIES {
        line.clear();
        match file.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(read) if read > 0 => {}
            _ => break,
        }
        let Some((sample, data)) = entry(&line) else {
            continue;
        };
        let tokens = data.len() / DIGITS;
        if tokens < NOTE {
            continue;
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(data);
        let first = *seen.entry((hasher.finish(), data.len())).or_insert(sample);
        // The same entry of a log that is read once more, or a sample that was issued again.
        if first != sample {
            match tokens < ASK {
                true => noted += 1,
                false => long += 1,
            }
        }
    }
    if seen.is_empty() {
        return found.skip(format!(
            "{place}: answers; {ACCURACY} has none of {NOTE} tokens and more"
        ));
    }
    for (count, least, level) in [(long, ASK, Level::Ask), (noted, NOTE, Level::Note)] {
        if count > 0 {
            found.add(Finding::new(
                Kind::AnswersIdentical,
                level,
                place,
                format!("{count} answers of {least} tokens and more are the same as that to another sample"),
                "none at temperature 1",
            ));
        }
    }
}

/// The sample and the digits of a line with an entry.
fn entry(line: &[u8]) -> Option<(u64, &[u8])> {
    let sample = after(line, b"\"qsl_idx\"")?;
    let digits = sample.iter().take_while(|b| b.is_ascii_digit()).count();
    let sample = str::from_utf8(&sample[..digits]).ok()?.parse().ok()?;
    let data = after(line, b"\"data\"")?.strip_prefix(b"\"")?;
    let digits = data.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    Some((sample, &data[..digits]))
}

/// What follows a key and its colon.
fn after<'a>(line: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = line.windows(key.len()).position(|part| part == key)?;
    let rest = line[at + key.len()..].trim_ascii_start();
    Some(rest.strip_prefix(b":")?.trim_ascii_start())
}

/// Of results that are compared with each other: their logs as truncating left them, and the first answer in each.
#[derive(Default)]
pub(super) struct Heads {
    whole: HashMap<(&'static str, Vec<u8>), String>,
    first: HashMap<(&'static str, u64, Vec<u8>), String>,
}

/// Tokens that have to be there.
const HEAD: usize = 128;
/// A truncated log is not longer.
const TRUNCATED: u64 = 10_240;
/// What the field has: engines that seed each request alike, on the same accelerators, begin with the same tokens.
const SHARED: &str = "of 168 logs of v6.0 nine share one: two or three results with the same engine and accelerators, up to the 506 tokens \
                      that are left (inference_results_v6.0, read on 2026-11-30)";

impl Heads {
    /// Compares the log in `dir` with all before it of the same kind.
    pub(super) fn compare(
        &mut self,
        kind: &'static str,
        dir: &Path,
        place: &str,
        found: &mut Findings,
    ) {
        let Some(log) = read::bytes(&dir.join(ACCURACY), TRUNCATED) else {
            return;
        };
        let Some((sample, data)) = entry(&log) else {
            return;
        };
        let Some(head) = data.get(..HEAD * DIGITS) else {
            return;
        };
        let head = head.to_vec();
        if let Some(other) = self.whole.get(&(kind, log.clone())) {
            found.add(Finding::new(
                Kind::AnswersShared,
                Level::Ask,
                place,
                format!("{kind}/{ACCURACY} is that of {other}, byte for byte"),
                "another log of each run: no two of v6.0 are the same",
            ));
        } else if let Some(other) = self.first.get(&(kind, sample, head.clone())) {
            found.add(Finding::new(
                Kind::AnswersShared,
                Level::Note,
                place,
                format!(
                    "{kind}: the answer to sample {sample} begins with the same {HEAD} tokens as in {other}"
                ),
                SHARED,
            ));
        }
        self.whole
            .entry((kind, log))
            .or_insert_with(|| place.to_owned());
        self.first
            .entry((kind, sample, head))
            .or_insert_with(|| place.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(answers: &[(u64, String)]) -> String {
        let entries = answers.iter().enumerate().map(|(n, (sample, data))| {
            format!("{{ \"seq_id\" : {n}, \"qsl_idx\" : {sample}, \"data\" : \"{data}\", \"token_count\" : 1 }}")
        });
        format!("[\n{}\n]\n", entries.collect::<Vec<_>>().join(",\n"))
    }

    /// So many tokens, of their own for each `seed`.
    fn answer(seed: u32, tokens: u32) -> String {
        let token = |n| format!("{:08X}", seed.wrapping_mul(2_654_435_761).wrapping_add(n));
        (0..tokens).map(token).collect()
    }

    fn judged(answers: &[(u64, String)]) -> Findings {
        let tmp = tempfile::tempdir().unwrap();
        std::fs::write(tmp.path().join(ACCURACY), log(answers)).unwrap();
        let mut found = Findings::default();
        of_log(tmp.path(), "run", &mut found);
        found
    }

    #[test]
    fn equal_answers_of_one_log_are_found() {
        let honest: Vec<_> = (0..20).map(|n| (n, answer(n as u32, 300))).collect();
        assert_eq!(judged(&honest).findings, []);
        let cached: Vec<_> = (0..20).map(|n| (n, answer(n as u32 % 4, 300))).collect();
        let found = judged(&cached);
        assert_eq!(found.asks(), 1);
        assert!(
            found.findings[0].figure.starts_with("16 answers"),
            "{found:?}"
        );
        let short: Vec<_> = (0..20).map(|n| (n, answer(1, 100))).collect();
        assert_eq!(
            (judged(&short).asks(), judged(&short).findings.len()),
            (0, 1)
        );
        assert_eq!(judged(&[]).not_looked_at.len(), 1);
    }

    #[test]
    fn logs_and_heads_of_two_results_that_are_the_same_are_found() {
        let tmp = tempfile::tempdir().unwrap();
        let mut heads = Heads::default();
        let mut levels = Vec::new();
        // Result, sample, seed of its first answer, where the log is cut.
        for (place, sample, seed, cut) in [
            ("a", 1, 1, 8000),
            ("b", 1, 2, 8000),
            ("c", 2, 1, 8000),
            ("d", 1, 1, 7000),
            ("e", 1, 1, 8000),
        ] {
            let mut found = Findings::default();
            let text = log(&[(sample, answer(seed, 1100))]);
            std::fs::write(tmp.path().join(ACCURACY), &text[..cut]).unwrap();
            heads.compare("accuracy", tmp.path(), place, &mut found);
            levels.push(found.findings.first().map(|finding| finding.level));
        }
        assert_eq!(
            levels,
            [None, None, None, Some(Level::Note), Some(Level::Ask)]
        );
    }
}

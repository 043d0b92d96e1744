//! A scorer's text: every figure in it against every other. Somebody who raises one has to raise them all, and the counts
//! with them.
//!
//! Owned here: what the reference's scorers print and how it hangs together: the block of `eval_mlperf_accuracy.py`, and the
//! dictionary of `eval_accuracy.py` and of other benchmarks' scorers. A text may hold one, both or neither; what is not there
//! contradicts nothing. Not owned: which score is asked for.
//!
//! A printed number stands for every number that is printed so ([`Range`]): figures contradict each other when no exact
//! values print as both.

mod range;
mod read;
#[cfg(test)]
mod tests;

pub(super) use range::Range;
use read::{Figures, Row, Term, read};

/// What contradicts what in a text, each a sentence.
pub(super) fn contradictions(text: &str) -> Vec<String> {
    let figures = read(text);
    let mut found: Vec<String> = figures
        .broken
        .iter()
        .map(|line| format!("found {line:.80?}, which is not as the scorer prints it"))
        .collect();
    figures.compare(&mut Contradictions(&mut found));
    found
}

/// Whether a text has a score and nothing that it follows from: neither counts nor the scorer's last line.
pub(super) fn is_bare_score(text: &str) -> bool {
    let figures = read(text);
    let has_score = figures
        .dictionary
        .iter()
        .any(|(name, _)| name == "exact_match");
    has_score && figures.raw.is_empty() && figures.rows.is_empty() && figures.last.is_empty()
}

/// How many samples a text says were evaluated.
pub(super) fn samples(text: &str) -> Vec<Range> {
    read(text).samples
}

/// The one value of a dictionary's name; of several the first, which the others are held against.
pub(super) fn value(text: &str, name: &str) -> Option<Range> {
    let dictionary = read(text).dictionary;
    dictionary
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| *value)
}

/// Where contradictions go.
struct Contradictions<'a>(&'a mut Vec<String>);

impl Contradictions<'_> {
    fn compare(&mut self, what: &str, found: Range, source: &str, expected: Range) {
        if !found.meets(expected) {
            self.0
                .push(format!("found {what} {found}, but {source} {expected}"));
        }
    }

    fn require(&mut self, good: bool, message: impl FnOnce() -> String) {
        if !good {
            self.0.push(message());
        }
    }
}

impl Figures {
    fn compare(&self, contradictions: &mut Contradictions<'_>) {
        self.compare_rows(contradictions);
        self.compare_sums(contradictions);
        self.compare_dictionary(contradictions);
        for figures in [&self.raw, &self.last] {
            for [percent, part, whole] in figures {
                let quotient = part.per(*whole).times(100.0);
                contradictions.compare("a share of", *percent, "its two numbers give", quotient);
                contradictions.require(part.low() <= whole.high(), || {
                    format!("found {part} of {whole}")
                });
            }
        }
        // Of what is there twice each must be the first.
        for figures in [&self.raw, &self.last] {
            for other in figures.iter().skip(1) {
                for (one, other) in figures[0].iter().zip(other) {
                    contradictions.compare("a second result with", *other, "the first has", *one);
                }
            }
        }
        for samples in &self.samples {
            for [_, _, whole] in &self.raw {
                contradictions.compare(
                    "samples evaluated",
                    *samples,
                    "the raw accuracy is of",
                    *whole,
                );
            }
        }
    }

    fn compare_rows(&self, contradictions: &mut Contradictions<'_>) {
        for row in &self.rows {
            let name = &row.name;
            let mut compare = |what: &str, found, expected| {
                contradictions.compare(
                    &format!("{what} of {name}"),
                    found,
                    "its counts give",
                    expected,
                );
            };
            compare(
                "the accuracy",
                row.accuracy,
                row.correct.per(row.total).times(100.0),
            );
            compare("the score", row.score, row.correct.per(row.repeats));
            contradictions.require(row.correct.low() <= row.total.high(), || {
                format!(
                    "found {} right answers of {} of {name}",
                    row.correct, row.total
                )
            });
        }
        for row in &self.again {
            for first in self.rows.iter().filter(|first| first.name == row.name) {
                for (figure, before) in [
                    (row.correct, first.correct),
                    (row.total, first.total),
                    (row.repeats, first.repeats),
                    (row.score, first.score),
                    (row.accuracy, first.accuracy),
                ] {
                    let what = format!("a second row of {} with", row.name);
                    contradictions.compare(&what, figure, "the first has", before);
                }
            }
        }
        if self.rows.is_empty() {
            return;
        }
        let sum = |of: fn(&Row) -> Range| {
            self.rows
                .iter()
                .map(of)
                .fold(Range::exactly(0.0), Range::plus)
        };
        for [_, correct, total] in &self.raw {
            contradictions.compare(
                "right answers",
                *correct,
                "the data sets have",
                sum(|row| row.correct),
            );
            contradictions.compare(
                "answers",
                *total,
                "the data sets have",
                sum(|row| row.total),
            );
        }
        for samples in &self.samples {
            contradictions.compare(
                "samples evaluated",
                *samples,
                "the data sets have",
                sum(|row| row.total),
            );
        }
        for [_, score, max] in &self.last {
            contradictions.compare(
                "the final score",
                *score,
                "the data sets give",
                sum(|row| row.correct.per(row.repeats)),
            );
            contradictions.compare(
                "the highest score",
                *max,
                "the data sets give",
                sum(|row| row.total.per(row.repeats)),
            );
        }
        for formula in &self.formula {
            let same = formula.len() == self.rows.len()
                && (formula.iter().zip(&self.rows))
                    .all(|((name, repeats), row)| *name == row.name && repeats.meets(row.repeats));
            contradictions.require(same, || {
                "found a formula of other data sets or repeats than the table has".into()
            });
        }
    }

    /// The lines below `Score:` and `Max:`.
    fn compare_sums(&self, contradictions: &mut Contradictions<'_>) {
        let parts: [fn(&Row) -> Range; 2] = [|row| row.correct, |row| row.total];
        for (what, lines, whole, part) in [
            ("Score:", &self.score, 1, parts[0]),
            ("Max:", &self.max, 2, parts[1]),
        ] {
            let value = |(part, whole): &Term| whole.map_or(*part, |whole| part.per(whole));
            let sums: Vec<Range> = lines
                .iter()
                .map(|line| {
                    line.iter()
                        .map(value)
                        .fold(Range::exactly(0.0), Range::plus)
                })
                .collect();
            for (n, sum) in sums.iter().enumerate() {
                for other in &sums[..n] {
                    contradictions.compare(what, *sum, "a line above it gives", *other);
                }
                for last in &self.last {
                    contradictions.compare(what, *sum, "FINAL SCORE has", last[whole]);
                }
            }
            if self.rows.is_empty() {
                continue;
            }
            // Term by term, where a line has one for each data set.
            for line in lines.iter().filter(|line| line.len() == self.rows.len()) {
                for (term, row) in line.iter().zip(&self.rows) {
                    let (count, repeats) = (part(row), row.repeats);
                    match term {
                        (part, Some(whole)) => {
                            contradictions.compare(what, *part, "the table has", count);
                            contradictions.compare(
                                what,
                                *whole,
                                "the table has the repeats",
                                repeats,
                            );
                        }
                        (number, None) if self.rows.len() > 1 => {
                            contradictions.compare(
                                what,
                                *number,
                                "the table gives",
                                count.per(repeats),
                            );
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    fn compare_dictionary(&self, contradictions: &mut Contradictions<'_>) {
        let first = |name: &str| {
            self.dictionary
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| *value)
        };
        for (n, (name, value)) in self.dictionary.iter().enumerate() {
            if let Some((_, before)) = self.dictionary[..n].iter().find(|(key, _)| key == name) {
                contradictions.compare(&format!("'{name}':"), *value, "before it stands", *before);
            }
        }
        let scores = self
            .dictionary
            .iter()
            .filter(|(key, _)| key == "exact_match");
        for score in scores.map(|(_, value)| *value) {
            for [percent, part, whole] in &self.last {
                contradictions.compare("'exact_match':", score, "FINAL SCORE is", *percent);
                contradictions.compare(
                    "'exact_match':",
                    score,
                    "FINAL SCORE's numbers give",
                    part.per(*whole).times(100.0),
                );
            }
            if let (false, Some(correct), Some(total)) = (
                self.rows.is_empty(),
                self.rows
                    .iter()
                    .map(|row| row.correct.per(row.repeats))
                    .reduce(Range::plus),
                self.rows
                    .iter()
                    .map(|row| row.total.per(row.repeats))
                    .reduce(Range::plus),
            ) {
                contradictions.compare(
                    "'exact_match':",
                    score,
                    "the data sets give",
                    correct.per(total).times(100.0),
                );
            }
            contradictions.require(score.low() <= 100.0, || {
                format!("found 'exact_match': {score}, expected a percentage")
            });
        }
        // gen_len is the tokens, gen_num the answers of other benchmarks' scorers.
        let answers = first("gen_num").or(first("num-samples"));
        if let (Some(mean), Some(tokens), Some(answers)) =
            (first("tokens_per_sample"), first("gen_len"), answers)
        {
            contradictions.compare(
                "'tokens_per_sample':",
                mean,
                "'gen_len' and the number of answers give",
                tokens.per(answers),
            );
        }
        for samples in &self.samples {
            for name in ["gen_num", "num-samples"] {
                if let Some(answers) = first(name) {
                    contradictions.compare(
                        &format!("'{name}':"),
                        answers,
                        "samples evaluated are",
                        *samples,
                    );
                }
            }
        }
        self.compare_passes(first, contradictions);
    }

    /// pass@k: a row is right when one of its passes is.
    fn compare_passes(
        &self,
        first: impl Fn(&str) -> Option<Range>,
        contradictions: &mut Contradictions<'_>,
    ) {
        let passes: Vec<Range> = (0..)
            .map_while(|n| first(&format!("exact_match_pass_{n}")))
            .collect();
        if let (Some(k), false) = (first("pass_k"), passes.is_empty()) {
            contradictions.compare(
                "'pass_k':",
                k,
                "the passes are",
                Range::exactly(passes.len() as f64),
            );
        }
        let Some(best) = first("exact_match") else {
            return;
        };
        if !passes.is_empty() {
            let least = passes.iter().map(Range::low).fold(0.0, f64::max);
            let most = passes.iter().map(Range::high).sum();
            contradictions.compare(
                "'exact_match':",
                best,
                "its passes allow",
                Range::between(least, most),
            );
        }
        if let Some(samples) = first("num-samples").filter(|_| first("pass_k").is_some()) {
            for rate in passes.iter().chain([&best]) {
                let right = rate.times(1.0 / 100.0).of(samples);
                contradictions.require(right.holds_a_whole_number(), || {
                    format!("found {rate} per cent of {samples} samples, which is no whole number of them")
                });
            }
        }
    }
}

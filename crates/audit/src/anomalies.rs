//! What of a run or a tree is not as usual. Each finding has its figure, what is usual, how rare that is where a model says so,
//! and what to ask; none is a verdict. What the input cannot show is listed.

mod accuracy;
mod answers;
mod figures;
#[cfg(test)]
mod honest;
mod latency;
mod lengths;
mod power;
mod scenarios;
mod schedule;

use std::collections::BTreeMap;
use std::path::Path;

use ossmark_report::{Completeness, Run};
use ossmark_rules::rules;

use crate::Error;
use crate::finding::Findings;
use crate::logged::Logged;
use crate::read;
use crate::results::{Place, results};
use crate::scores;
use answers::Heads;
use scenarios::Rates;

/// The directory of one run, with its log, record and answers as far as they are there.
pub fn of_run(run: &Run) -> Findings {
    let mut found = Findings::default();
    let place = run.dir.to_string_lossy().into_owned();
    let log = Logged::of(&run.dir);
    let is_scripted = run.plan["engine"] == "echo" || log.as_ref().is_some_and(Logged::is_scripted);
    match &log {
        None => found.skip(format!(
            "{place}: LoadGen's log; there is none that can be read"
        )),
        Some(log) if log.is_performance() => performance(run, log, is_scripted, &place, &mut found),
        Some(_) => answers::of_log(&run.dir, &place, &mut found),
    }
    power::of_run(&run.dir, &place, &mut found);
    if is_scripted {
        found.of_a_script(0);
        found.skip(format!(
            "{place}: who computes the answers; the run says itself that a script gives them"
        ));
    }
    found
}

fn performance(run: &Run, log: &Logged, is_scripted: bool, place: &str, found: &mut Findings) {
    let is_benchmark = !is_scripted && is_benchmark(run, log);
    let queries = schedule::queries(log, place, found);
    if let Some(queries) = &queries {
        schedule::of_log(log, queries, place, found);
    }
    figures::of_log(log, place, found);
    if is_benchmark {
        lengths::of_log(log, place, found);
    }
    if run.record != Completeness::Complete || run.rows.is_empty() {
        return found.skip(format!(
            "{place}: single samples; there is no record with all of them"
        ));
    }
    if let Some(queries) = &queries {
        schedule::of_rows(&run.rows, queries, place, found);
    }
    figures::of_record(&run.rows, log, place, found);
    lengths::repeated(&run.rows, place, found);
    match log.is_offline() {
        true => found.skip(format!(
            "{place}: times of single tokens; Offline does not ask for them"
        )),
        false => latency::of_rows(&run.rows, is_benchmark, place, found),
    }
}

/// Whether the model is gpt-oss-120b as far as the run says: by its layers, or by the size of its data.
fn is_benchmark(run: &Run, log: &Logged) -> bool {
    let rules = rules();
    if let Some(description) = run.plan["model"]["description"].as_str() {
        let layers = rules.model.dimensions.num_hidden_layers;
        return description.contains(&format!("{layers} layers"));
    }
    let sizes = [
        rules.performance.sample_count.value,
        rules.compliance.test07.sample_count.value,
    ];
    let rows = log.number("qsl_reported_total_count");
    sizes.iter().any(|size| rows == Some(*size as f64))
}

/// All results of a tree, and each against the others.
///
/// # Errors
/// [`Error::NotATree`], [`Error::NoResult`].
pub fn of_tree(root: &Path) -> Result<Findings, Error> {
    let mut found = Findings::default();
    let mut heads = Heads::default();
    let mut systems: BTreeMap<String, Vec<Rates>> = BTreeMap::new();
    for place in results(root)? {
        let from = found.findings.len();
        let log = Logged::of(&place.dir.join("performance/run_1"));
        let tokens = log.as_ref().and_then(Logged::answer_tokens);
        result(&place, log.as_ref(), tokens, &mut found);
        for kind in ["accuracy", "TEST07/accuracy", "TEST09/accuracy"] {
            heads.compare(kind, &place.dir.join(kind), &place.path, &mut found);
        }
        if log.as_ref().is_some_and(Logged::is_scripted) {
            found.of_a_script(from);
        }
        let rates = log.as_ref().and_then(Logged::rates);
        if let Some(((tokens_per_s, _), answer_tokens)) = rates.zip(tokens) {
            systems
                .entry(place.system.clone())
                .or_default()
                .push(Rates {
                    scenario: place.scenario,
                    place: place.path,
                    tokens_per_s,
                    answer_tokens,
                });
        }
    }
    for results in systems.values() {
        scenarios::compare(results, &mut found);
    }
    found.skip("issue times and latencies of single queries: no log of LoadGen's has them, and a tree has no record");
    found.skip("answers but the beginning of each log's first: logs in a tree are truncated");
    Ok(found)
}

fn result(place: &Place, log: Option<&Logged>, tokens: Option<f64>, found: &mut Findings) {
    let path = place.path.as_str();
    match log {
        None => found.skip(format!(
            "{path}: its performance run; there is no log that can be read"
        )),
        Some(log) => {
            if let Some(queries) = schedule::queries(log, path, found) {
                schedule::of_log(log, &queries, path, found);
            }
            figures::of_log(log, path, found);
            latency::of_log(log, path, found);
            lengths::of_log(log, path, found);
        }
    }
    match read::text(&place.dir.join("accuracy/accuracy.txt")) {
        None => found.skip(format!(
            "{path}: accuracy by data set; there is no accuracy.txt"
        )),
        Some(text) => accuracy::of_text(&text, path, found),
    }
    for (test, file) in [
        ("TEST07", "verify_accuracy.txt"),
        ("TEST09", "verify_output_len.txt"),
    ] {
        let Some(text) = read::text(&place.dir.join(test).join(file)) else {
            found.skip(format!("{path}: {test}; there is no {file}"));
            continue;
        };
        match test {
            "TEST07" => accuracy::of_test07(&text, path, found),
            _ => match scores::number(&text, "Mean output tokens:") {
                Some(mean) => lengths::of_test09(mean, tokens, path, found),
                None => found.skip(format!("{path}: {test}; {file} has no mean")),
            },
        }
        let dir = place.dir.join(test).join("performance/run_1");
        let at = format!("{path}/{test}");
        if let Some(log) = Logged::of(&dir)
            && let Some(queries) = schedule::queries(&log, &at, found)
        {
            schedule::of_log(&log, &queries, &at, found);
        }
    }
    match place.dir.join("performance/power").is_dir() {
        true => found.skip(format!(
            "{path}: power; its logs are judged by the Power WG's own script"
        )),
        false => found.skip(format!("{path}: power; there are no power logs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 200 honest runs and no question in any: what is asked about is rare.
    #[test]
    fn honest_runs_raise_no_question() {
        for seed in 0..200 {
            let (log, rows) = honest::server(1000 + 10 * seed);
            let mut found = Findings::default();
            let queries = schedule::queries(&log, "run", &mut found).unwrap();
            schedule::of_log(&log, &queries, "run", &mut found);
            schedule::of_rows(&rows, &queries, "run", &mut found);
            figures::of_log(&log, "run", &mut found);
            figures::of_record(&rows, &log, "run", &mut found);
            lengths::repeated(&rows, "run", &mut found);
            latency::of_rows(&rows, true, "run", &mut found);
            latency::of_log(&log, "run", &mut found);
            assert_eq!(found.asks(), 0, "{seed}: {found:?}");
        }
    }

    #[test]
    fn a_scripts_answers_are_noted_and_its_schedule_is_asked_about() {
        let (_, mut rows) = honest::server(7);
        for row in &mut rows {
            row.output_tokens = 1000;
            row.scheduled_ns = row.scheduled_ns.map(|due| due * 2);
        }
        let queries = schedule::queries(
            &honest::server_log(7, None),
            "run",
            &mut Findings::default(),
        );
        let mut found = Findings::default();
        lengths::repeated(&rows, "run", &mut found);
        schedule::of_rows(&rows, &queries.unwrap(), "run", &mut found);
        assert!(found.asks() >= 2, "{found:?}");
        found.of_a_script(0);
        let asks = found
            .findings
            .iter()
            .filter(|f| f.level == crate::Level::Ask);
        assert!(asks.clone().count() > 0 && asks.clone().all(|f| f.name.starts_with("schedule.")));
    }

    #[test]
    fn a_tree_of_nothing_and_one_of_damaged_files_give_reports() {
        let tmp = tempfile::tempdir().unwrap();
        of_tree(tmp.path()).unwrap_err();
        let dir = tmp
            .path()
            .join("closed/Org/results/box/gpt-oss-120b/Server");
        for file in [
            "performance/run_1/mlperf_log_detail.txt",
            "accuracy/accuracy.txt",
            "accuracy/mlperf_log_accuracy.json",
            "TEST07/verify_accuracy.txt",
            "TEST09/verify_output_len.txt",
        ] {
            let file = dir.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(
                file,
                b":::MLLOG {\"key\xff\n[[[[\0 aime25 9 3\nMean output tokens: inf",
            )
            .unwrap();
        }
        let found = of_tree(tmp.path()).unwrap();
        assert_eq!(found.findings, []);
        assert!(found.not_looked_at.len() >= 4, "{found:?}");
    }
}

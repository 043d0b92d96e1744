//! The chain from the checkpoint to the score: what each part says of the one before, by a hash or a number, and where a link
//! is missing or does not fit.

use std::path::Path;

use ossmark_logs::{ACCURACY, DETAIL, SUMMARY};
use ossmark_report::Run;
use serde::Serialize;
use serde_json::Value;

use crate::read;

/// Whether two parts are linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The one says the other's hash, and that is the one that lies there; or says what it is, where nothing else could.
    Whole,
    /// It says another.
    Broken,
    /// Nothing says it.
    Missing,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Link {
    /// From which part to which.
    pub name: &'static str,
    /// How it came out.
    pub state: State,
    /// The hash, or what else links them. From outside: to be escaped where it is shown.
    pub hash: Option<String>,
    /// What was found, and what would close it. From outside in part.
    pub why: String,
}

/// The chain of a run and, with it, of its score. `fingerprint` is what `auditor fingerprint --json` wrote of the machine, null
/// where there is none.
pub fn of_run(run: &Run, fingerprint: &Value) -> Vec<Link> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let plan = &run.plan;
    let mut links = Vec::new();
    let commit = text(&plan["ossmark"]["git_revision"]).filter(|commit| commit != "unknown");
    let changed = plan["ossmark"]["git_dirty"] == "true";
    links.push(match (&commit, changed) {
        (Some(_), false) => whole(
            "source to program",
            commit.clone(),
            "the commit that the program was built from",
        ),
        (Some(_), true) => broken(
            "source to program",
            commit.clone(),
            "files were changed after this commit",
        ),
        (None, _) => missing(
            "source to program",
            "run_plan.json has no commit (ossmark.git_revision)",
        ),
    });
    links.push(said(
        "LoadGen to program",
        text(&plan["loadgen"]["source"]),
        "run_plan.json has no source of LoadGen (loadgen.source)",
    ));
    let hashes = &fingerprint["machine"]["hashes"];
    links.push(checkpoint(plan, hashes));
    for (name, key) in [
        ("tokenizer to run", "tokenizer"),
        ("data set to run", "dataset"),
    ] {
        links.push(match text(&plan[key]["file_sha256"]) {
            Some(hash) => hashed(name, hash, &on_machine(plan, key, hashes)),
            None => missing(name, "run_plan.json has no SHA-256 of it"),
        });
    }
    for (name, file) in [
        ("run plan to verdict", "run_plan.json"),
        ("LoadGen's log to verdict", DETAIL),
        ("LoadGen's summary to verdict", SUMMARY),
    ] {
        links.push(file_link(run, name, file));
    }
    if run.mode().as_deref() == Some("accuracy") {
        links.push(file_link(run, "answers to verdict", ACCURACY));
        links.push(score(run));
    }
    links
}

/// A run does not hash its weights: who looks at the machine does.
fn checkpoint(plan: &Value, hashes: &Value) -> Link {
    let name = "checkpoint to run";
    if plan["engine"] == "echo" {
        return missing(name, "a script gave the answers: there is no checkpoint");
    }
    if !plan["model"]["synthetic"].is_null() {
        return missing(
            name,
            "the weights were made up for the run: there is no checkpoint",
        );
    }
    let all = hashes.as_object().into_iter().flatten();
    let files: Vec<(&String, &str)> = all
        .filter(|(name, _)| name.starts_with("checkpoint/"))
        .filter_map(|(name, hash)| Some((name, hash.as_str()?)))
        .collect();
    if !files.iter().any(|(name, _)| name.ends_with(".safetensors")) {
        return missing(
            name,
            "no hash of the weights: a run does not hash them; `ossmark auditor fingerprint --model DIR` does, on the machine",
        );
    }
    let files: Vec<String> = files
        .iter()
        .map(|(name, hash)| format!("{name} {hash}"))
        .collect();
    whole(
        name,
        Some(files.join(", ")),
        "hashed on the machine by `auditor fingerprint`",
    )
}

/// The hashes that `auditor fingerprint` found of a kind of file; of data sets only of those with the name that the run has.
fn on_machine<'a>(plan: &Value, key: &str, hashes: &'a Value) -> Vec<&'a str> {
    let path = plan[key]["path"].as_str().map(Path::new);
    let file = path.and_then(|path| path.file_name()?.to_str());
    let all = hashes.as_object().into_iter().flatten();
    let of_kind = all.filter(|(name, _)| match name.strip_prefix(key) {
        Some("") => true,
        Some(rest) => rest
            .strip_prefix('/')
            .is_some_and(|rest| file.is_none_or(|file| file == rest)),
        None => false,
    });
    of_kind.filter_map(|(_, hash)| hash.as_str()).collect()
}

/// A file whose hash the run plan has.
fn hashed(name: &'static str, hash: String, on_machine: &[&str]) -> Link {
    let is_there = on_machine
        .iter()
        .any(|here| here.eq_ignore_ascii_case(&hash));
    match on_machine.first() {
        Some(here) if !is_there => broken(
            name,
            Some(hash),
            &format!("the machine has one with SHA-256 {here}"),
        ),
        Some(_) => whole(
            name,
            Some(hash),
            "SHA-256 in run_plan.json, and on the machine",
        ),
        None => whole(name, Some(hash), "SHA-256 in run_plan.json"),
    }
}

fn whole(name: &'static str, hash: Option<String>, why: &str) -> Link {
    link(name, State::Whole, hash, why)
}

fn broken(name: &'static str, hash: Option<String>, why: &str) -> Link {
    link(name, State::Broken, hash, why)
}

fn missing(name: &'static str, why: &str) -> Link {
    link(name, State::Missing, None, why)
}

fn link(name: &'static str, state: State, hash: Option<String>, why: &str) -> Link {
    Link {
        name,
        state,
        hash,
        why: why.to_owned(),
    }
}

fn said(name: &'static str, hash: Option<String>, otherwise: &str) -> Link {
    match hash {
        Some(hash) => whole(name, Some(hash), "as run_plan.json has it"),
        None => missing(name, otherwise),
    }
}

/// A file whose hash the verdict has.
fn file_link(run: &Run, name: &'static str, file: &str) -> Link {
    match run.files.iter().find(|hashed| hashed.name == file) {
        None => missing(name, &format!("verdict.json has no SHA-256 of {file}")),
        Some(hashed) if hashed.is_same() => whole(
            name,
            Some(hashed.stated.clone()),
            &format!("{file} is the one that the verdict was given on"),
        ),
        Some(hashed) => match &hashed.found {
            Ok(found) => broken(
                name,
                Some(hashed.stated.clone()),
                &format!(
                    "{file} has SHA-256 {found}: it was changed after the verdict, or is of another run"
                ),
            ),
            Err(why) => missing(name, &format!("{file}: {why}")),
        },
    }
}

/// `hash=` in accuracy.txt is that of the answers.
fn score(run: &Run) -> Link {
    let name = "answers to score";
    let Some(text) = read::text(&run.dir.join("accuracy.txt")) else {
        return missing(
            name,
            "there is no accuracy.txt beside the log (`ossmark score --accuracy-txt FILE --log-hash`)",
        );
    };
    let hash = text
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix("hash="));
    let Some(hash) = hash.map(|hash| hash.trim().to_lowercase()) else {
        return missing(
            name,
            "accuracy.txt has no line hash= (`ossmark score --log-hash`, `ossmark submission truncate TREE`)",
        );
    };
    let answers = run.files.iter().find(|file| file.name == ACCURACY);
    match answers.map(|file| file.stated.to_lowercase()) {
        Some(stated) if stated == hash => {
            whole(name, Some(hash), "hash= in accuracy.txt is that of the log")
        }
        Some(stated) => broken(
            name,
            Some(hash),
            &format!("the verdict has SHA-256 {stated} for {ACCURACY}"),
        ),
        None => missing(
            name,
            &format!("verdict.json has no SHA-256 of {ACCURACY} to hold hash= against"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use ossmark_report::{Hashed, Verdict};
    use serde_json::json;

    use super::*;

    fn run(dir: &std::path::Path) -> Run {
        let hashed = |name: &str| Hashed {
            name: name.into(),
            stated: format!("{name} hash"),
            found: Ok(format!("{name} hash")),
        };
        std::fs::write(
            dir.join("accuracy.txt"),
            format!("'exact_match': 83.5\nhash={ACCURACY} hash\n"),
        )
        .unwrap();
        Run {
            dir: dir.into(),
            plan: json!({
                "ossmark": { "git_revision": "0123456", "git_dirty": "false" },
                "loadgen": { "source": "sdist" }, "tokenizer": { "file_sha256": "t" }, "dataset": { "path": "data/perf.parquet", "file_sha256": "d" },
            }),
            verdict: Some(Verdict {
                mode: Some("accuracy".into()),
                ..Verdict::default()
            }),
            files: ["run_plan.json", DETAIL, SUMMARY, ACCURACY]
                .map(hashed)
                .into(),
            ..Run::default()
        }
    }

    fn open(links: &[Link]) -> Vec<(&'static str, State)> {
        let open = links.iter().filter(|link| link.state != State::Whole);
        open.map(|link| (link.name, link.state)).collect()
    }

    type Cut = fn(&mut Run);

    #[test]
    fn a_whole_chain_has_no_open_link_and_each_cut_is_named() {
        let tmp = tempfile::tempdir().unwrap();
        let machine = json!({ "machine": { "hashes": { "checkpoint/model.safetensors": "w", "dataset/perf.parquet": "D",
            "dataset/acc.parquet": "e" } } });
        let judged = |run: &Run| open(&of_run(run, &machine));
        let good = run(tmp.path());
        assert_eq!(judged(&good), []);
        assert_eq!(
            open(&of_run(&good, &Value::Null)),
            [("checkpoint to run", State::Missing)]
        );
        let no_weights = json!({ "machine": { "hashes": { "checkpoint/config.json": "c" } } });
        assert_eq!(
            open(&of_run(&good, &no_weights)),
            [("checkpoint to run", State::Missing)]
        );
        // Of a data set of another name the machine says nothing.
        let mut renamed = run(tmp.path());
        renamed.plan["dataset"] = json!({ "path": "gpqa.parquet", "file_sha256": "f" });
        assert_eq!(judged(&renamed), []);
        let cuts: [(Cut, (&str, State)); 9] = [
            (
                |run| run.plan["engine"] = json!("echo"),
                ("checkpoint to run", State::Missing),
            ),
            (
                |run| run.plan["model"]["synthetic"] = json!(7),
                ("checkpoint to run", State::Missing),
            ),
            (
                |run| run.plan["ossmark"]["git_revision"] = json!("unknown"),
                ("source to program", State::Missing),
            ),
            (
                |run| run.plan["ossmark"]["git_dirty"] = json!("true"),
                ("source to program", State::Broken),
            ),
            (
                |run| run.plan["loadgen"] = json!(null),
                ("LoadGen to program", State::Missing),
            ),
            (
                |run| run.plan["tokenizer"] = json!(null),
                ("tokenizer to run", State::Missing),
            ),
            (
                |run| run.plan["dataset"]["file_sha256"] = json!("other"),
                ("data set to run", State::Broken),
            ),
            (
                |run| run.files[1].found = Ok("other".into()),
                ("LoadGen's log to verdict", State::Broken),
            ),
            (
                |run| run.files[0].found = Err("gone".into()),
                ("run plan to verdict", State::Missing),
            ),
        ];
        for (cut, expected) in cuts {
            let mut run = run(tmp.path());
            cut(&mut run);
            assert_eq!(judged(&run), [expected]);
        }
        let mut other = run(tmp.path());
        std::fs::write(tmp.path().join("accuracy.txt"), "hash=f00\n").unwrap();
        assert_eq!(judged(&other), [("answers to score", State::Broken)]);
        std::fs::write(tmp.path().join("accuracy.txt"), "no\n").unwrap();
        assert_eq!(judged(&other), [("answers to score", State::Missing)]);
        other.files.pop();
        assert_eq!(judged(&other).len(), 2);
    }
}

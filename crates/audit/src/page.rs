//! The auditor's report: what was done, found, asked and is open, and the chain from checkpoint to score; as data and as one
//! page without a request.
//!
//! Made of what the other commands wrote as JSON, which may have been written by anybody: what is in it is shown, escaped and
//! cut, and nothing of it is followed.

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ossmark_files::Escaped;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::chain::{Link, State};

/// The JSON of a command.
#[derive(Clone, Debug)]
pub struct Part {
    /// The file, as it was named.
    pub file: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// What is in it.
    pub value: Value,
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Done {
    /// The command, by its own word.
    pub what: String,
    /// Of which run, tree or machine, by its own word.
    pub of: String,
    /// The file with what came of it.
    pub file: String,
    /// SHA-256 of that file.
    pub sha256: String,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// The kind, or the field.
    pub name: String,
    /// `note` or `ask`.
    pub level: &'static str,
    /// Which run, result or probe.
    #[serde(rename = "where")]
    pub place: String,
    /// What was found.
    pub figure: String,
    /// What was expected.
    pub usual: String,
    /// What to ask.
    pub question: String,
}

/// A run's chain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chain {
    /// Which run.
    pub run: String,
    /// From checkpoint to score.
    pub links: Vec<Link>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// In the order in which it was given.
    pub done: Vec<Done>,
    /// Questions first.
    pub findings: Vec<Entry>,
    /// What nobody has looked at, a sentence each.
    pub not_looked_at: Vec<String>,
    /// Of each run.
    pub chains: Vec<Chain>,
}

/// More of a kind are not shown.
const MOST: usize = 2000;
/// No text is longer.
const LONGEST: usize = 1000;

/// Puts it together.
pub fn report(parts: &[Part], chains: Vec<Chain>) -> Report {
    let mut report = Report::default();
    for part in parts {
        let text = |name: &str| shown(&part.value[name]);
        let what = match text("command") {
            word if word.is_empty() && part.value["verdict"].is_string() => {
                "submission check".into()
            }
            word if word.is_empty() => "a file of another kind".into(),
            word => word,
        };
        // `submission check` says by which round's rules it was done.
        let of = match (text("of"), text("round")) {
            (of, round) if of.is_empty() && !round.is_empty() => format!("round {round}"),
            (of, _) => of,
        };
        gather(&part.value, &what, &mut report);
        report.done.push(Done {
            what,
            of,
            file: cut(&part.file),
            sha256: part.sha256.clone(),
        });
    }
    for chain in &chains {
        let open = chain.links.iter().filter(|link| link.state != State::Whole);
        for link in open.take(MOST) {
            let level = match link.state {
                State::Broken => "ask",
                State::Whole | State::Missing => "note",
            };
            report.findings.push(Entry {
                name: format!("chain: {}", link.name),
                level,
                place: cut(&chain.run),
                figure: cut(&link.why),
                usual: "a hash that fits".into(),
                question: "what links these two?".into(),
            });
        }
    }
    report.findings.sort_by_key(|entry| entry.level != "ask");
    report.chains = chains;
    report
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten().take(MOST)
}

fn gather(value: &Value, what: &str, report: &mut Report) {
    for found in list(value, "findings") {
        let text = |name: &str| shown(&found[name]);
        // Those of `submission check` have other names for the same.
        let severity = text("severity");
        let is_ask = text("level") == "ask" || severity == "error" || severity == "question";
        let or = |first: String, second: &str| {
            if first.is_empty() {
                text(second)
            } else {
                first
            }
        };
        report.findings.push(Entry {
            name: or(text("name"), "rule"),
            level: if is_ask { "ask" } else { "note" },
            place: or(text("where"), "path"),
            figure: or(text("figure"), "message"),
            usual: or(text("usual"), "source"),
            question: or(text("question"), "fix"),
        });
    }
    let entry = |field: &Value, found: &str, expected: &str, question: &str| Entry {
        name: shown(&field["name"]),
        level: "ask",
        place: what.to_owned(),
        figure: shown(&field[found]),
        usual: format!(
            "{expected}{}",
            shown(
                &field[if found == "measured" {
                    "submitted"
                } else {
                    "stated"
                }]
            )
        ),
        question: question.into(),
    };
    for field in list(value, "fields") {
        let name = shown(&field["name"]);
        if field["within_2_percent"] == false {
            report.findings.push(entry(
                field,
                "measured",
                "within 2% of ",
                "why was the result not reproduced?",
            ));
        } else if field["outcome"] == "differs" {
            report.findings.push(entry(
                field,
                "found",
                "as described: ",
                "why is the machine not as described?",
            ));
        } else if field["outcome"] == "not-compared" {
            report.not_looked_at.push(format!(
                "{what}: {name}; stated {}, found {}: read both",
                shown(&field["stated"]),
                shown(&field["found"])
            ));
        } else if field["outcome"] == "not-seen" {
            report.not_looked_at.push(format!(
                "{what}: {name}; nothing here shows it: look, or ask"
            ));
        } else if field.get("within_2_percent").is_some_and(Value::is_null) {
            report.not_looked_at.push(format!(
                "{what}: {name}; one of the two runs does not have it"
            ));
        }
    }
    for condition in list(value, "conditions") {
        if condition["holds"] == false {
            report.findings.push(Entry {
                usual: shown(&condition["name"]),
                ..entry(condition, "found", "", "why does this not hold?")
            });
        }
    }
    report
        .not_looked_at
        .extend(list(value, "not_looked_at").map(shown));
}

/// A value as a text.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => cut(text),
        other => cut(&other.to_string()),
    }
}

fn cut(text: &str) -> String {
    let short: String = text.chars().take(LONGEST).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{}{more}", Escaped(short))
}

/// The style sheet as it stands in the page.
const STYLE: &str = include_str!("../templates/page.css");

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    style: &'a str,
    style_hash: String,
    version: &'static str,
    report: &'a Report,
    asked: usize,
    noted: usize,
    chains: Vec<ShownChain>,
}

struct ShownChain {
    run: String,
    links: Vec<ShownLink>,
}

struct ShownLink {
    name: &'static str,
    state: &'static str,
    hash: String,
    why: String,
}

/// The page.
pub fn page(report: &Report) -> String {
    let asked = report
        .findings
        .iter()
        .filter(|entry| entry.level == "ask")
        .count();
    let chain = |chain: &Chain| ShownChain {
        run: cut(&chain.run),
        links: chain.links.iter().map(link).collect(),
    };
    let page = Page {
        style: STYLE,
        style_hash: STANDARD.encode(Sha256::digest(STYLE)),
        version: env!("CARGO_PKG_VERSION"),
        report,
        asked,
        noted: report.findings.len() - asked,
        chains: report.chains.iter().map(chain).collect(),
    };
    // Into memory, of texts: nothing of it can fail.
    page.render()
        .expect("the template's only errors are those of its writer, a string")
}

fn link(link: &Link) -> ShownLink {
    ShownLink {
        name: link.name,
        state: match link.state {
            State::Whole => "whole",
            State::Broken => "broken",
            State::Missing => "missing",
        },
        hash: cut(link.hash.as_deref().unwrap_or_default()),
        why: cut(&link.why),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn part(value: Value) -> Part {
        Part {
            file: "a.json".into(),
            sha256: "0".repeat(64),
            value,
        }
    }

    fn made() -> Report {
        let link = Link {
            name: "checkpoint to run",
            state: State::Missing,
            hash: None,
            why: "no hash of the weights".into(),
        };
        let chain = Chain {
            run: "runs/offline".into(),
            links: vec![link],
        };
        let parts = [
            part(json!({ "command": "anomalies", "of": "tree", "findings": [
                { "name": "schedule.times", "level": "ask", "where": "<script>alert(1)</script>", "figure": "f", "usual": "u", "question": "q?" },
                { "name": "log.figures", "level": "note", "figure": 7 },
            ], "not_looked_at": ["power"] })),
            part(json!({ "command": "fingerprint", "fields": [
                { "name": "accelerators_per_node", "stated": "8", "found": "4", "outcome": "differs" },
                { "name": "cooling", "stated": "air", "found": null, "outcome": "not-seen" },
                { "name": "host_network_card_count", "stated": "2-port", "found": "1", "outcome": "not-compared" },
            ] })),
            part(json!({ "command": "reproduce", "fields": [
                { "name": "result_samples_per_second", "submitted": 10.0, "measured": 9.0, "within_2_percent": false },
                { "name": "exact_match", "submitted": 83.0, "measured": null, "within_2_percent": null },
            ], "conditions": [{ "name": "LoadGen says VALID", "holds": false, "found": "INVALID" }] })),
            part(
                json!({ "verdict": "valid", "findings": [{ "rule": "user-conf.differs", "severity": "question", "path": "p",
                "message": "m", "fix": "f" }] }),
            ),
            part(json!([1, "x", { "findings": 3 }])),
        ];
        report(&parts, vec![chain])
    }

    #[test]
    fn what_every_command_found_is_in_the_report() {
        let report = made();
        let asked: Vec<&str> = report
            .findings
            .iter()
            .filter(|f| f.level == "ask")
            .map(|f| f.name.as_str())
            .collect();
        assert_eq!(
            asked,
            [
                "schedule.times",
                "accelerators_per_node",
                "result_samples_per_second",
                "LoadGen says VALID",
                "user-conf.differs"
            ]
        );
        assert_eq!(report.not_looked_at.len(), 4, "{:?}", report.not_looked_at);
        assert!(
            report
                .findings
                .iter()
                .any(|f| f.name == "chain: checkpoint to run")
        );
        assert_eq!(report.done.len(), 5);
        assert_eq!(report.done[3].what, "submission check");
    }

    #[test]
    fn the_page_shows_texts_and_runs_none() {
        let page = page(&made());
        assert!(page.contains("no hash of the weights") && page.contains("checkpoint to run"));
        assert!(
            !page.contains("<script") && page.contains("alert(1)"),
            "{page}"
        );
        for word in ["http:", "https:", "src=", "href="] {
            assert!(!page.contains(word), "{word}");
        }
    }
}

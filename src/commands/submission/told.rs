//! What `submission check` prints: what was found, result by result, then the counts and the verdict; and what a rule says.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use ossmark_submission::check::{Report, ResultLine, Verdict};
use ossmark_submission::{Finding, Rule, Severity, catalog};

use crate::exit::Outcome;
use crate::terminal::{say, text::counted};

/// Prints a report.
pub(super) fn report(report: &Report) {
    let mut left: Vec<&Finding> = report.findings.iter().collect();
    for result in &report.results {
        let prefix = format!("{}/", result.path);
        let (of_it, others): (Vec<_>, Vec<_>) = left
            .into_iter()
            .partition(|f| f.path == result.path || f.path.starts_with(&prefix));
        left = others;
        self::result(report, result, &of_it, &prefix);
    }
    // What is the whole submission's: its system, its documents, the tree itself.
    let mut general: BTreeMap<String, Vec<&Finding>> = BTreeMap::new();
    for finding in left {
        let whose: Vec<&str> = finding.path.splitn(3, '/').take(2).collect();
        general.entry(whose.join("/")).or_default().push(finding);
    }
    for (whose, findings) in &general {
        match whose.as_str() {
            "." => say!("the tree: {}", counts(findings)),
            whose => say!("{whose}, all results: {}", counts(findings)),
        }
        each(findings, &format!("{whose}/"));
        say!("");
    }
    end(report);
}

fn result(report: &Report, result: &ResultLine, findings: &[&Finding], prefix: &str) {
    let verdict = if result.valid { "valid" } else { "INVALID" };
    let metric = result
        .metric
        .map_or_else(|| "no figure".into(), |m| format!("{m} tokens/s"));
    let errors = findings.iter().any(|f| f.severity == Severity::Error);
    let why = match (result.valid, errors) {
        (false, false) if report.findings_left_out == 0 => "; see \"all results\" below",
        _ => "",
    };
    say!("{}", result.path);
    say!("  {verdict}, {metric}: {}{why}", counts(findings));
    each(findings, prefix);
    say!("");
}

/// The worst first; of one severity in the order of the walk. A fix is said once for findings of one rule.
fn each(findings: &[&Finding], prefix: &str) {
    let mut findings = findings.to_vec();
    findings.sort_by_key(|f| (f.severity, !f.official));
    for (n, finding) in findings.iter().enumerate() {
        let severity = match finding.severity {
            Severity::Error => "ERROR",
            Severity::Question => "QUESTION",
            Severity::Note => "NOTE",
        };
        let official = if finding.official { " (official)" } else { "" };
        say!("  {severity} {}{official}", finding.rule);
        let path = finding.path.strip_prefix(prefix);
        let path = path.unwrap_or(&finding.path);
        if !["", "."].contains(&path) {
            say!("    {path}");
        }
        say!("    {}", finding.message);
        let is_last = findings.get(n + 1).is_none_or(|f| f.rule != finding.rule);
        if is_last {
            say!("    fix: {}", finding.fix);
        }
    }
}

fn end(report: &Report) {
    if report.findings_left_out > 0 {
        say!("and {} more findings", report.findings_left_out);
    }
    let all: Vec<&Finding> = report.findings.iter().collect();
    let valid = report.results.iter().filter(|r| r.valid).count();
    say!(
        "{} in {}, {valid} valid",
        counts(&all),
        counted(report.results.len() as u64, "result")
    );
    if !all.is_empty() {
        say!("what a rule asks for and why: ossmark submission check --explain RULE");
    }
    let verdict = match report.verdict {
        Verdict::Valid => "VALID",
        Verdict::Invalid => "INVALID",
    };
    let basis = if report.official_only {
        " by the official checker's rules alone; all else is a note"
    } else {
        ""
    };
    say!("round {}: submission {verdict}{basis}", report.round);
}

/// `10 errors (5 official), 4 questions, 1 note`; what there is none of is left out.
fn counts(findings: &[&Finding]) -> String {
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let official = findings.iter().filter(|f| f.official).count();
    let mut said = Vec::new();
    for (severity, name) in [
        (Severity::Error, "error"),
        (Severity::Question, "question"),
        (Severity::Note, "note"),
    ] {
        let n = count(severity);
        if n > 0 {
            let of = match severity {
                Severity::Error => format!(" ({official} official)"),
                _ => String::new(),
            };
            said.push(counted(n as u64, name) + &of);
        }
    }
    match said.is_empty() {
        true => "no findings".into(),
        false => said.join(", "),
    }
}

/// Prints what the catalogue says of a rule.
///
/// # Errors
/// No such rule: names those that may be meant.
pub(super) fn explain(name: &str) -> Result<Outcome> {
    let rules = catalog();
    let Some(rule) = rules.get(name) else {
        let near = near(rules, name);
        bail!("--explain {name}: no such rule, expected one that a report names{near}");
    };
    say!("{name}");
    let severity = match rule.severity {
        Severity::Error => "error: decides the verdict",
        Severity::Question => {
            "question: an auditor would ask; decides the exit status with --strict"
        }
        Severity::Note => "note: worth knowing",
    };
    say!("  {severity}");
    match (rule.official, rule.crash) {
        (true, true) => {
            say!("  official: MLCommons' checker ends here with an exception and judges nothing")
        }
        (true, false) => say!("  official: MLCommons' own checker objects too"),
        (false, _) => say!(
            "  not official: MLCommons' checker lets it pass. Why it is this: {}",
            rule.why
        ),
    }
    say!("  source: {}", rule.source);
    say!("  fix: {}", rule.fix);
    Ok(Outcome::Good)
}

/// So alike are two names of which one is a slip of the pen.
const ALIKE: f64 = 0.85;

/// The rule that was meant, or those of the same family, or of names that hold a part of it, or the families.
fn near(rules: &BTreeMap<String, Rule>, name: &str) -> String {
    let alike = rules
        .keys()
        .map(|rule| (strsim::normalized_levenshtein(name, rule), rule))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    if let Some((_, rule)) = alike.filter(|(alike, _)| *alike >= ALIKE) {
        return format!("; did you mean {rule}?");
    }
    let (family, part) = name.split_once('.').unwrap_or((name, name));
    let holds = |rule: &&String| {
        rule.split_once('.').is_some_and(|(its, rest)| {
            its == family || (!part.is_empty() && (rest.contains(part) || its.contains(part)))
        })
    };
    let found: Vec<&str> = rules.keys().filter(holds).map(String::as_str).collect();
    if !found.is_empty() {
        return format!(": {}", found.join(", "));
    }
    let mut families: Vec<&str> = rules
        .keys()
        .filter_map(|rule| rule.split('.').next())
        .collect();
    families.dedup();
    format!("; they begin with {}", families.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_may_be_meant_are_named() {
        let rules = catalog();
        assert!(near(rules, "performance.nonsense").contains("performance.min-duration"));
        assert!(near(rules, "rehearsal").contains("submission.rehearsal"));
        let slip = near(rules, "documentaton.missing");
        assert_eq!(slip, "; did you mean documentation.missing?");
        assert!(near(rules, "quite-another").starts_with("; they begin with accuracy, "));
    }

    #[test]
    fn of_nothing_there_is_no_count() {
        assert_eq!(counts(&[]), "no findings");
    }
}

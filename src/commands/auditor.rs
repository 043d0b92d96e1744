//! `ossmark auditor`: what an auditor holds a result against. The work is done by `crates/audit`; these look at the machine,
//! start runs and engines, print and write files.

pub(crate) mod anomalies;
pub(crate) mod fingerprint;
pub(crate) mod perturb;
pub(crate) mod report;
pub(crate) mod reproduce;

use ossmark_audit::{Findings, Level};
use ossmark_report::number::count;

use crate::terminal::say;

/// Nobody knows the ends of a distribution better than this: so rare is rare.
const RARE: f64 = 1e-6;

fn how_rare(share: f64) -> String {
    match share < RARE {
        true => "less than once in a million".into(),
        false => format!("once in {}", count((1.0 / share).round() as u64)),
    }
}

/// Prints findings, questions first, and what was not looked at.
fn print(found: &Findings) {
    for level in [Level::Ask, Level::Note] {
        for finding in found.findings.iter().filter(|f| f.level == level) {
            let word = match level {
                Level::Ask => "ASK",
                Level::Note => "NOTE",
            };
            say!("{word} {}: {}", finding.name, finding.place);
            say!("  found: {}", finding.figure);
            say!("  usual: {}", finding.usual);
            if let Some(rarity) = finding.rarity {
                say!("  in honest results this happens {}", how_rare(rarity));
            }
            say!("  ask: {}", finding.question);
        }
    }
    for what in &found.not_looked_at {
        say!("not looked at: {what}");
    }
    if found.left_out > 0 {
        say!("and {} more", found.left_out);
    }
    let notes = found.findings.len() - found.asks();
    say!(
        "{} to ask, {notes} to note, {} not looked at; none of this is a verdict",
        found.asks(),
        found.not_looked_at.len()
    );
}

//! `ossmark auditor reproduce`: a result's run made again here, in processes of its own, and compared. What is taken from the
//! tree is [`Stated`]; everything else on these command lines is the auditor's, or this program's own.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ossmark_audit::reproduce::{Measured, Reproduced, compare};
use ossmark_audit::{Place, Stated, results};
use ossmark_dataset::Dataset;
use ossmark_files::Escaped;
use ossmark_harmony::Detokenizer;
use ossmark_rules::Mode;
use ossmark_score::lcb::Problems;
use serde::Serialize;

use crate::children;
use crate::cli::AuditorReproduceArgs;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::{note, progress, say};

#[derive(Serialize)]
struct Written<'a> {
    command: &'static str,
    of: &'a str,
    stated: &'a Stated,
    #[serde(flatten)]
    reproduced: &'a Reproduced,
}

/// Options of the run that this command sets itself.
const OURS: [&str; 8] = [
    "--scenario",
    "--mode",
    "--output",
    "--user-conf",
    "--dataset",
    "--target-qps",
    "--config",
    "--audit-config",
];

pub(crate) fn reproduce(args: &AuditorReproduceArgs) -> Result<Outcome> {
    children::listen()?;
    let place = chosen(args)?;
    let stated = Stated::of(&place)?;
    for word in args.run.iter().filter_map(|word| word.to_str()) {
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        if OURS.contains(&name) {
            bail!(
                "-- {name}: is set by this command; leave it out (the data set is --dataset, the output --output)"
            );
        }
    }
    check_inputs(args)?;
    for difference in stated.differences(&place) {
        note!("{difference}");
    }
    if args.print {
        say!("user.conf:");
        stated.user_conf().lines().for_each(|line| say!("  {line}"));
        let options = stated.options(Mode::Performance).join(" ");
        say!(
            "`ossmark run {options} --user-conf user.conf --dataset FILE --output DIR`, and who answers"
        );
        let options = stated.options(Mode::Accuracy).join(" ");
        say!(
            "`ossmark run {options} --user-conf user.conf --dataset FILE --output DIR`, and who answers"
        );
        return Ok(Outcome::Good);
    }
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let made = match &args.output {
        Some(output) => make(args, &stated, output)?,
        None => Made::default(),
    };
    let measured = Measured {
        performance: made.performance.as_deref().or(args.measured.as_deref()),
        accuracy: made.accuracy.as_deref().or(args.accuracy.as_deref()),
        test07: made.test07.as_deref().or(args.test07.as_deref()),
        test09: made.test09.as_deref().or(args.test09.as_deref()),
    };
    if measured.performance.is_none() {
        bail!(
            "found no run to compare, expected --output DIR with the options of the run after --, --measured DIR with LoadGen's logs \
             of one, or --dry-run"
        );
    }
    let reproduced = compare(&place, &measured);
    print(&place, &reproduced);
    if let Some(file) = &mut json_file {
        file.write_json(&Written {
            command: "reproduce",
            of: &place.path,
            stated: &stated,
            reproduced: &reproduced,
        })?;
    }
    Ok(match reproduced.is_good() {
        true => Outcome::Good,
        false => Outcome::NotGood,
    })
}

/// What is read hours later is looked at now.
fn check_inputs(args: &AuditorReproduceArgs) -> Result<()> {
    for (option, dir) in [
        ("--measured", &args.measured),
        ("--accuracy", &args.accuracy),
        ("--test07", &args.test07),
        ("--test09", &args.test09),
    ] {
        if let Some(dir) = dir.as_ref().filter(|dir| !dir.is_dir()) {
            bail!(
                "{option} {}: found no directory, expected one with a run",
                dir.display()
            );
        }
    }
    let sets = [
        &args.dataset,
        &args.accuracy_dataset,
        &args.compliance_dataset,
    ];
    for file in sets.into_iter().flatten() {
        Dataset::open(file)?;
    }
    if let Some(tokenizer) = &args.tokenizer {
        Detokenizer::load(tokenizer)?;
    }
    Problems::load(&args.lcb_problems).context("--lcb-problems")?;
    Ok(())
}

/// Results that a message names, beside the first.
const NAMED: usize = 19;

/// The one result that is meant.
fn chosen(args: &AuditorReproduceArgs) -> Result<Place> {
    let all = results(&args.tree)?;
    let part = args.result.as_deref().unwrap_or_default();
    let mut fit = all
        .into_iter()
        .filter(|place| place.scenario == args.scenario && place.path.contains(part));
    let Some(first) = fit.next() else {
        bail!(
            "{}: found no result of {} whose path has {part:?} in it; see the directories below results/",
            Escaped::path(&args.tree),
            args.scenario.name()
        );
    };
    let others: Vec<String> = fit.map(|place| place.path).collect();
    if !others.is_empty() {
        let shown = others.iter().take(NAMED).map(String::as_str);
        let shown: Vec<&str> = [first.path.as_str()].into_iter().chain(shown).collect();
        let more = match others.len().saturating_sub(NAMED) {
            0 => String::new(),
            n => format!(", and {n} more"),
        };
        bail!(
            "{}: found {} results of {}, expected one: name a part of its path with --result; {}{more}",
            Escaped::path(&args.tree),
            others.len() + 1,
            args.scenario.name(),
            Escaped(shown.join(", "))
        );
    }
    Ok(first)
}

/// The runs that were made here.
#[derive(Default)]
struct Made {
    performance: Option<PathBuf>,
    accuracy: Option<PathBuf>,
    test07: Option<PathBuf>,
    test09: Option<PathBuf>,
}

fn make(args: &AuditorReproduceArgs, stated: &Stated, output: &Path) -> Result<Made> {
    if args.run.is_empty() {
        bail!(
            "expected the options of the run after --, which say who answers, for example: -- --model DIR"
        );
    }
    let (_held, output) = output::claim_empty_directory(output, args.force)?.make_room()?;
    let conf = output.join("user.conf");
    output::write_whole(&conf, stated.user_conf().as_bytes())?;
    let dataset: Vec<OsString> = match &args.dataset {
        Some(file) => vec!["--dataset".into(), file.into()],
        None => Vec::new(),
    };
    let mut made = Made::default();
    let performance = output.join("performance");
    let mut words: Vec<OsString> = vec!["run".into()];
    words.extend(
        stated
            .options(Mode::Performance)
            .into_iter()
            .map(OsString::from),
    );
    option(&mut words, "--user-conf", &conf);
    option(&mut words, "--output", &performance);
    words.extend(dataset.iter().chain(&args.run).cloned());
    child(&words, &output)?;
    made.performance = Some(performance);
    if let Some(file) = &args.accuracy_dataset {
        let accuracy = output.join("accuracy");
        let mut words: Vec<OsString> = vec!["run".into()];
        words.extend(
            stated
                .options(Mode::Accuracy)
                .into_iter()
                .map(OsString::from),
        );
        option(&mut words, "--user-conf", &conf);
        option(&mut words, "--output", &accuracy);
        option(&mut words, "--dataset", file);
        words.extend(args.run.iter().cloned());
        child(&words, &output)?;
        score(args, file, &accuracy, &output)?;
        made.accuracy = Some(accuracy);
    }
    let compliance = output.join("compliance");
    if let Some((file, tokenizer)) = args
        .compliance_dataset
        .as_ref()
        .zip(args.tokenizer.as_ref())
    {
        let mut words: Vec<OsString> = vec!["audit".into(), "test07".into()];
        option(&mut words, "--output", &compliance);
        option(&mut words, "--dataset", file);
        option(&mut words, "--tokenizer", tokenizer);
        words.push("--".into());
        option(&mut words, "--scenario", Path::new(stated.scenario.name()));
        // Beside the lines that the test needs, which are this program's own.
        words.push("--target-qps".into());
        words.push(stated.target_qps.to_string().into());
        option(&mut words, "--dataset", file);
        words.extend(args.run.iter().cloned());
        child(&words, &output)?;
        made.test07 = Some(compliance.join("TEST07"));
    }
    if args.compliance {
        let mut words: Vec<OsString> = vec!["audit".into(), "test09".into()];
        option(&mut words, "--output", &compliance);
        words.push("--".into());
        option(&mut words, "--scenario", Path::new(stated.scenario.name()));
        option(&mut words, "--user-conf", &conf);
        words.extend(dataset.iter().chain(&args.run).cloned());
        child(&words, &output)?;
        made.test09 = Some(compliance.join("TEST09"));
    }
    Ok(made)
}

fn score(args: &AuditorReproduceArgs, reference: &Path, run: &Path, output: &Path) -> Result<()> {
    let Some(tokenizer) = &args.tokenizer else {
        bail!("--accuracy-dataset: expected --tokenizer PATH beside it, to score the answers");
    };
    let mut words: Vec<OsString> = vec!["score".into(), run.into(), "--log-hash".into()];
    for (name, file) in [
        ("--dataset", reference.to_owned()),
        ("--tokenizer", tokenizer.clone()),
        ("--accuracy-txt", run.join("accuracy.txt")),
    ] {
        option(&mut words, name, &file);
    }
    for file in &args.lcb_problems {
        option(&mut words, "--lcb-problems", file);
    }
    child(&words, output)
}

fn option(words: &mut Vec<OsString>, name: &str, value: &Path) {
    words.push(name.into());
    words.push(value.into());
}

/// Runs this program to its end. A run that is not valid is compared all the same; one that could not run is not.
fn child(words: &[OsString], output: &Path) -> Result<()> {
    let shown: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    progress!("ossmark {}", shown.join(" "));
    let status =
        children::status(children::this_program()?.args(words)).context("cannot start the run")?;
    children::fail_if_interrupted(|| {
        format!(
            "nothing was compared; what there is of the runs is in {}",
            output.display()
        )
    })?;
    match status.code() {
        Some(0 | 1) => Ok(()),
        _ => {
            let what = words.first().map_or(OsStr::new("run"), OsString::as_os_str);
            bail!(
                "`ossmark {}` could not run ({status}); its message is above",
                what.display()
            )
        }
    }
}

fn print(place: &Place, reproduced: &Reproduced) {
    say!("{}", place.path);
    let number = |x: Option<f64>| x.map_or("-".into(), |x| format!("{x}"));
    for field in &reproduced.fields {
        let word = match field.within_2_percent {
            Some(true) => "within 2%",
            Some(false) => "DIFFERS",
            None => "not compared",
        };
        say!(
            "{:<36} submitted {:>14}  here {:>14}  {word}",
            field.name,
            number(field.submitted),
            number(field.measured)
        );
    }
    for condition in &reproduced.conditions {
        let word = match condition.holds {
            Some(true) => "holds",
            Some(false) => "FAILS",
            None => "not known",
        };
        say!("{:<36} {word}: {}", condition.name, condition.found);
    }
    for what in &reproduced.findings.not_looked_at {
        say!("not looked at: {what}");
    }
    say!(
        "{}",
        match reproduced.is_good() {
            true => "reproduced",
            false => "NOT reproduced",
        }
    );
}

//! The runs that are looked at: of a scenario what `run` would plan, and which runs of a submission are made with it.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};
use loadgen::TestSettings;
use ossmark_logs::config::Line;
use ossmark_rules::{Mode, Scenario};

use crate::cli::{PreflightArgs, RunArgs, config_file};
use crate::doctor::probes::Probe;
use crate::output;
use crate::run::facts::run_facts;
use crate::run::foreseen::entries;
use crate::run::plan::{RunPlan, loadgen_mode, plan};
use crate::run::rules::{Audit, OfficialFile, deviations, rules};
use crate::run::user_conf;

/// A run of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Performance,
    Accuracy,
    Test07,
    Test09,
    /// With an audit.config that was given.
    Given,
    /// `--mode find-peak`.
    FindPeak,
}

/// A scenario's runs.
pub(super) struct Subject {
    pub(super) scenario: Scenario,
    pub(super) kinds: Vec<Kind>,
    /// Of its first kind.
    pub(super) plan: RunPlan,
    /// Most tokens of an answer, where that was asked for.
    max_new_tokens: Option<u32>,
}

/// The settings of one run.
pub(super) struct Settings {
    pub(super) audited: TestSettings,
    /// Rows of the data set that it is made with.
    pub(super) rows: u64,
    /// Most tokens of an answer.
    pub(super) max_new_tokens: u32,
    /// How it would differ from what the round asks for.
    pub(super) deviations: Vec<String>,
}

impl Kind {
    /// As JSON and people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Performance => "performance",
            Self::Accuracy => "accuracy",
            Self::Test07 => "TEST07",
            Self::Test09 => "TEST09",
            Self::Given => "audit",
            Self::FindPeak => "find-peak",
        }
    }

    pub(super) fn mode(self) -> Mode {
        match self {
            Self::Accuracy => Mode::Accuracy,
            Self::FindPeak => Mode::FindPeak,
            Self::Performance | Self::Test07 | Self::Test09 | Self::Given => Mode::Performance,
        }
    }

    /// The audit.config that is shipped for it.
    fn audit_config(self) -> Option<&'static str> {
        match self {
            Self::Test07 => Some(include_str!(
                "../../../mlperf_conf/audit/TEST07/audit.config"
            )),
            Self::Test09 => Some(include_str!(
                "../../../mlperf_conf/audit/TEST09/audit.config"
            )),
            Self::Performance | Self::Accuracy | Self::Given | Self::FindPeak => None,
        }
    }

    /// What was asked for: one run, or all of a submission.
    pub(super) fn asked(args: &PreflightArgs) -> Vec<Self> {
        match (args.mode, &args.audit_config) {
            (Some(Mode::Accuracy), _) => vec![Self::Accuracy],
            (Some(Mode::FindPeak), _) => vec![Self::FindPeak],
            (_, Some(_)) => vec![Self::Given],
            (Some(Mode::Performance), None) => vec![Self::Performance],
            (None, None) => vec![
                Self::Performance,
                Self::Accuracy,
                Self::Test07,
                Self::Test09,
            ],
        }
    }
}

fn word(option: &str, value: impl AsRef<std::ffi::OsStr>) -> OsString {
    let mut word = OsString::from(format!("{option}="));
    word.push(value);
    word
}

/// The options of a run of this scenario and kind; `None` leaves the scenario to the options.
fn run_args(args: &PreflightArgs, scenario: Option<Scenario>, kind: Kind) -> Result<RunArgs> {
    let mut words = args.run.0.clone();
    words.extend(scenario.map(|scenario| word("--scenario", scenario.name())));
    words.push(word("--mode", kind.mode().name()));
    words.push(word("--output", args.output.join("preflight")));
    let files = [
        ("--user-conf", &args.user_conf),
        ("--audit-config", &args.audit_config),
    ];
    for (option, file) in files {
        words.extend(file.iter().map(|file| word(option, file)));
    }
    words.extend(
        args.target_qps
            .map(|qps| word("--target-qps", qps.to_string())),
    );
    // Which file it is is a check of its own.
    if !words.iter().any(|word| word == "--any-dataset") {
        words.push("--any-dataset".into());
    }
    config_file::run_args(&words)
}

/// The scenarios that were asked for: the one of the options, or all three.
pub(super) fn scenarios(args: &PreflightArgs, kind: Kind) -> Result<Vec<Scenario>> {
    Ok(match run_args(args, None, kind)?.scenario {
        Some(scenario) => vec![scenario],
        None => vec![Scenario::Offline, Scenario::Server, Scenario::Interactive],
    })
}

impl Subject {
    /// Plans it as `run` would. What `run` would refuse for its settings is a check that is not good, and there is no subject.
    ///
    /// # Errors
    ///
    /// Bad arguments and files that cannot be read.
    pub(super) fn new(
        args: &PreflightArgs,
        scenario: Scenario,
        kinds: &[Kind],
        checks: &mut Vec<Probe>,
    ) -> Result<Option<Self>> {
        let first = kinds.first().copied().unwrap_or(Kind::Performance);
        let given = run_args(args, None, first)?.scenario;
        let run = run_args(args, given.is_none().then_some(scenario), first)?;
        let is_read = |file: &Path| {
            ossmark_files::open(file)
                .map(drop)
                .with_context(|| format!("cannot read {}", file.display()))
        };
        for file in [&run.http.api_key_file, &run.http.ca_file]
            .into_iter()
            .flatten()
        {
            is_read(file)?;
        }
        configuration(&run, checks)?;
        checks.extend(load(&run, scenario)?);
        let max_new_tokens = run.max_new_tokens;
        match plan(run) {
            Ok(plan) => Ok(Some(Self {
                scenario,
                kinds: kinds.to_vec(),
                plan,
                max_new_tokens,
            })),
            Err(error) if is_of_settings(&error) => {
                let text = format!("{}: {error:#}", scenario.name());
                let mend =
                    "see what it says; `ossmark run` would refuse the run with the same words";
                checks.push(Probe::new("settings", Err(text), mend));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The settings of one of its runs, as LoadGen will have them. `dir` is for the files of the compliance tests.
    pub(super) fn settings(&self, kind: Kind, dir: &Path) -> Result<Settings> {
        let mut loadgen = self.plan.loadgen.clone();
        loadgen.mode = loadgen_mode(kind.mode());
        if let Some(config) = kind.audit_config() {
            let file = dir.join(format!("{}.audit.config", kind.name()));
            output::write_whole(&file, config.as_bytes())?;
            loadgen.audit_config = Some(file);
        }
        if kind == Kind::Test07 {
            // As `ossmark audit test07` does where the user has none.
            loadgen.user_conf = Some(self.test07_conf(dir)?);
        }
        let (requested, audited) = (loadgen.requested()?, loadgen.audited()?);
        let is_planned = self.kinds.first() == Some(&kind);
        let own_rows = self.plan.prompts.len() as u64;
        let mut facts = run_facts(&self.plan, Default::default());
        facts.mode = kind.mode();
        facts.audit = match kind {
            Kind::Test07 => Some(Audit::Test07),
            Kind::Test09 => Some(Audit::Test09),
            Kind::Given => facts.audit,
            Kind::Performance | Kind::Accuracy | Kind::FindPeak => None,
        };
        // The data set that was given is that of the first run; the others have theirs.
        let rows = match OfficialFile::wanted(facts.mode, facts.audit) {
            Some(file) if !is_planned => file.rows(),
            _ => own_rows,
        };
        facts.dataset_rows = rows;
        if !is_planned {
            let usual = rules().max_new_tokens(facts.mode).value[0];
            facts.max_new_tokens = self.max_new_tokens.unwrap_or(usual);
        }
        facts.settings = entries(&requested, &audited, rows);
        Ok(Settings {
            audited,
            rows,
            max_new_tokens: facts.max_new_tokens,
            deviations: deviations(&facts),
        })
    }

    /// The user's user.conf with the number of TEST07's samples, without which LoadGen asks for more than there are.
    fn test07_conf(&self, dir: &Path) -> Result<std::path::PathBuf> {
        let mut text = match &self.plan.loadgen.user_conf {
            Some(file) => ossmark_files::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?,
            None => String::new(),
        };
        text += "\n";
        let rows = OfficialFile::Compliance.rows();
        for scenario in ["*", "Offline", "Server"] {
            let model = self.plan.loadgen.model.as_str();
            text += &format!("{model}.{scenario}.performance_sample_count_override = {rows}\n");
        }
        let file = dir.join("TEST07.user.conf");
        output::write_whole(&file, text.as_bytes())?;
        Ok(file)
    }
}

/// Whether the load is anybody's choice, where it matters.
fn load(run: &RunArgs, scenario: Scenario) -> Result<Option<Probe>> {
    let matters = scenario != Scenario::Offline || run.mode != Some(Mode::Accuracy);
    if run.target_qps.is_some() || !matters {
        return Ok(None);
    }
    let model = &rules().scenario(scenario).model_name.value;
    let in_loadgen = match scenario {
        Scenario::Offline => "Offline",
        Scenario::Server | Scenario::Interactive => "Server",
    };
    let wanted = [
        format!("{model}.{in_loadgen}"),
        format!("{model}.*"),
        format!("*.{in_loadgen}"),
        "*.*".to_owned(),
    ];
    let text = match &run.user_conf {
        Some(file) => ossmark_files::read_to_string(file)
            .with_context(|| format!("cannot read {}", file.display()))?,
        None => String::new(),
    };
    let is_set = text.lines().any(|line| match Line::read(line.as_bytes()) {
        Line::Set { name, .. } => {
            let name = String::from_utf8_lossy(name);
            let of = name.strip_suffix(".target_qps");
            of.is_some_and(|of| wanted.iter().any(|wanted| wanted == of))
        }
        Line::Blank | Line::NoValue { .. } | Line::Drops { .. } => false,
    });
    let result = match is_set {
        true => Ok(format!("{}: set", scenario.name())),
        false => Err(format!(
            "{}: neither user.conf nor --target-qps says it; LoadGen takes its own, 1 a second",
            scenario.name()
        )),
    };
    let mend = format!("write {}.target_qps into user.conf", wanted[0]);
    Ok(Some(Probe::new("target_qps", result, mend)))
}

/// What is harmless of the remarks: lines of other benchmarks, line ends that LoadGen passes over, and what is said of a
/// setting that is held against the rules anyway.
const HARMLESS: [&str; 3] = [
    "found the model",
    "carriage return (CRLF)",
    "name the model if that is meant",
];

fn is_a_mistake(remark: &str) -> bool {
    remark.contains("did you mean") || !HARMLESS.iter().any(|part| remark.contains(part))
}

/// What LoadGen would misread, or read otherwise than it seems, in either file.
fn configuration(run: &RunArgs, checks: &mut Vec<Probe>) -> Result<()> {
    let stray = user_conf::refuse_stray_audit(Path::new("."), run.audit_config.as_deref());
    if let Err(error) = stray {
        checks.push(Probe::new(
            "audit.config",
            Err(error.to_string()),
            "move it away, or give it with --audit-config",
        ));
    }
    for (name, file, kind) in [
        ("user.conf", &run.user_conf, user_conf::Kind::User),
        ("audit.config", &run.audit_config, user_conf::Kind::Audit),
    ] {
        let Some(file) = file else {
            continue;
        };
        let result = match user_conf::lint_file(file, kind) {
            Err(error @ user_conf::Error::Unreadable { .. }) => return Err(error.into()),
            Err(error) => Err(error.to_string()),
            Ok(remarks) => match remarks.iter().find(|remark| is_a_mistake(remark)) {
                Some(remark) => Err(remark.clone()),
                None => Ok(format!("{}: as LoadGen reads it", file.display())),
            },
        };
        let mend = "write the line as LoadGen reads it; docs/loadgen.md has its traps";
        checks.push(Probe::new(name, result, mend));
    }
    Ok(())
}

/// Whether `run` would refuse the run for what its configuration asks of LoadGen.
fn is_of_settings(error: &anyhow::Error) -> bool {
    error.is::<user_conf::Error>() || error.is::<loadgen::Error>()
}

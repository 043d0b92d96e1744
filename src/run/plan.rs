//! From what was asked to what will be done. Everything that can be refused before the engine is started is refused here;
//! nothing is written yet.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use loadgen::{Settings, TestSettings};
use ossmark_dataset::Dataset;
use ossmark_engine::eagle3::tensors_sha256;
use ossmark_protocol::{Sampling, TokenId};
use ossmark_rules::{Mode, Scenario};

use super::power;
use super::rules::{Audit, OfficialFile, rules};
use super::sut::RequestTemplate;
use super::user_conf::{self, Kind};
use crate::cli::{DtypeArg, EngineArg, RunArgs, StreamArg, missing};
use crate::generator::engine_plan::EnginePlan;
use crate::generator::fault_injection::FaultInjection;

/// What a run will do, validated.
pub(crate) struct RunPlan {
    pub(crate) round: String,
    pub(crate) scenario: Scenario,
    pub(crate) mode: Mode,
    pub(crate) engine: EnginePlan,
    pub(crate) prompts: Arc<[Arc<[TokenId]>]>,
    /// Of each prompt of the data set, whatever the engine is given for it.
    pub(crate) prompt_tokens: Arc<[u32]>,
    /// `None`: stand-in prompts of the echo engine.
    pub(crate) dataset: Option<Dataset>,
    pub(crate) template: RequestTemplate,
    pub(crate) dtype: DtypeArg,
    /// Where tokens are drafted: which head that is.
    pub(crate) head: Option<Head>,
    pub(crate) loadgen: Settings,
    pub(crate) requested: TestSettings,
    pub(crate) output: PathBuf,
    pub(crate) force: bool,
    /// Of its configuration files, for people.
    pub(crate) warnings: Vec<String>,
    /// A deviation from the round's rules is refused.
    pub(crate) require_official: bool,
    pub(crate) watchdog: Duration,
    pub(crate) fault_injection: Option<FaultInjection>,
    pub(crate) stop_hopeless: bool,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) power: ossmark_telemetry::Settings,
    pub(crate) record: bool,
    pub(crate) json: Option<PathBuf>,
}

impl RunPlan {
    /// Limits of p99 time to first token and time per output token, in nanoseconds, where the run is held against them: Offline
    /// has none, and in accuracy mode LoadGen holds no run against any.
    pub(crate) fn limits_ns(&self) -> Option<(u64, u64)> {
        let settings = &self.requested;
        let is_held = self.scenario != Scenario::Offline
            && self.mode != Mode::Accuracy
            && settings.use_token_latencies;
        is_held.then_some((settings.server_ttft_latency, settings.server_tpot_latency))
    }
}

const DEFAULT_ROUND: &str = "v6.1";
const DEFAULT_WATCHDOG_S: f64 = 300.0;

/// Validates what was asked.
pub(crate) fn plan(args: RunArgs) -> Result<RunPlan> {
    refuse_missing(&args)?;
    let (Some(scenario), Some(mode), Some(output)) =
        (args.scenario, args.mode, args.output.clone())
    else {
        bail!("found no scenario, mode or output");
    };
    let round = args.round.clone().unwrap_or_else(|| DEFAULT_ROUND.into());
    let Some(round_rules) = rules().round(&round) else {
        let known: Vec<&str> = rules().rounds().collect();
        bail!(
            "--round {round}: not known; expected one of {}",
            known.join(", ")
        );
    };
    let warnings = check_configuration_files(&args)?;

    let settings = loadgen_settings(&args, scenario, mode, &output);
    let requested = settings.requested()?;
    let echo = args.engine.engine == Some(EngineArg::Echo);
    let dataset = args.dataset.as_deref().map(Dataset::open).transpose()?;
    if let Some(dataset) = &dataset {
        check_dataset(&args, dataset, mode)?;
    }
    let prompts = prompts(&args, echo, dataset.as_ref(), &requested)?;
    let lengths = dataset.as_ref().map_or(&prompts[..], |d| &d.prompts);
    let prompt_tokens = lengths.iter().map(|prompt| prompt.len() as u32).collect();
    settings.check(prompts.len() as u64, prompts.len() as u64)?;
    let max_new_tokens = args
        .max_new_tokens
        .unwrap_or_else(|| rules().max_new_tokens(mode).value[0]);
    if max_new_tokens == 0 {
        bail!(
            "--max-new-tokens 0: expected at least 1 (and 2 for LoadGen to have a time per output token)"
        );
    }
    let generation = &rules().generation;
    let sampling = Sampling {
        temperature: args
            .temperature
            .unwrap_or(generation.temperature.value as f32),
        top_p: args.top_p.unwrap_or(generation.top_p.value as f32),
        top_k: args.top_k.unwrap_or(generation.top_k.value),
    };
    sampling.check()?;
    let seed = args.seed.unwrap_or(round_rules.qsl_rng_seed.value);
    // Answers that come whole may all be under way for as long as one may take.
    let default_watchdog = match args.engine.engine {
        Some(EngineArg::Http) => {
            let timeout = args.http.timeout;
            timeout.unwrap_or(ossmark_remote::Settings::TIMEOUT.as_secs_f64()) + 60.0
        }
        _ => DEFAULT_WATCHDOG_S,
    };
    let watchdog = args.watchdog.unwrap_or(default_watchdog);
    if !(0.01..=1e6).contains(&watchdog) {
        bail!("--watchdog {watchdog}: expected seconds between 0.01 and 1000000");
    }
    let fault_injection = args
        .drill
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(anyhow::Error::msg)?;
    let dtype = args.engine.dtype.unwrap_or(DtypeArg::Bf16);
    let mut engine =
        EnginePlan::choose(&args.engine, &args.speculate, Some(&args.http), &args.echo)?;
    let head = head(&engine, args.speculate_revision)?;
    let streaming = args.http.http_stream.unwrap_or(StreamArg::Auto);
    engine.stream_unless_told(streaming, scenario != Scenario::Offline);
    Ok(RunPlan {
        round,
        scenario,
        mode,
        engine,
        prompts,
        prompt_tokens,
        dataset,
        template: RequestTemplate {
            sampling,
            max_new_tokens,
            seed,
        },
        dtype,
        head,
        loadgen: settings,
        requested,
        output,
        force: args.force,
        warnings,
        require_official: args.require_official,
        watchdog: Duration::from_secs_f64(watchdog),
        fault_injection,
        stop_hopeless: args.stop_hopeless,
        trace: args.trace,
        power: power::settings(&args.power)?,
        record: !args.no_record,
        json: args.json,
    })
}

/// The head that drafts, as the rules look at it.
pub(crate) struct Head {
    pub(crate) tensors_sha256: String,
    /// What the submitter says it is.
    pub(crate) revision: Option<String>,
}

fn head(engine: &EnginePlan, revision: Option<String>) -> Result<Option<Head>> {
    let Some(speculation) = engine.speculation() else {
        if let Some(revision) = revision {
            bail!(
                "--speculate-revision {revision}: is for --speculate HEAD_DIR; give that, or leave it out"
            );
        }
        return Ok(None);
    };
    let place = || format!("--speculate {}", speculation.head.display());
    Ok(Some(Head {
        tensors_sha256: tensors_sha256(&speculation.head).with_context(place)?,
        revision,
    }))
}

/// All that is missing at once: whoever has to start again knows all of it.
fn refuse_missing(args: &RunArgs) -> Result<()> {
    let needs_data = args.engine.engine != Some(EngineArg::Echo);
    let missing = [
        (args.scenario.is_none()).then_some("--scenario offline|server|interactive"),
        (args.mode.is_none()).then_some("--mode performance|accuracy|find-peak"),
        (args.output.is_none()).then_some("--output DIR: where logs and verdict go"),
        args.engine.missing(&args.http),
        (needs_data && args.dataset.is_none())
            .then_some("--dataset FILE: the parquet file with the tokenised prompts"),
    ];
    let missing: Vec<&str> = missing.into_iter().flatten().collect();
    missing::refuse(&missing, ", on the command line or in --config")
}

/// LoadGen drops or misreads lines in silence, so both files are read by stricter eyes first. An `audit.config` in the
/// working directory is refused: LoadGen's usual wrappers would run it as a compliance test, so that beside this run it is
/// almost surely a mistake.
fn check_configuration_files(args: &RunArgs) -> Result<Vec<String>> {
    user_conf::refuse_stray_audit(Path::new("."), args.audit_config.as_deref())?;
    let mut warnings = Vec::new();
    for (file, kind) in [
        (&args.user_conf, Kind::User),
        (&args.audit_config, Kind::Audit),
    ] {
        if let Some(file) = file {
            warnings.extend(user_conf::lint_file(file, kind)?);
        }
    }
    Ok(warnings)
}

/// Only a file that is known to be for another kind of run is refused: that is a mistake, found out after hours. Any other
/// makes the run one with test settings (`rules`).
fn check_dataset(args: &RunArgs, dataset: &Dataset, mode: Mode) -> Result<()> {
    let audit = args
        .audit_config
        .as_ref()
        .map(|file| Audit::of(&ossmark_files::read_to_string(file).unwrap_or_default()));
    let wanted = OfficialFile::wanted(mode, audit);
    if let (Some(found), Some(wanted)) = (OfficialFile::of(dataset), wanted)
        && found != wanted
        && !args.any_dataset
    {
        bail!(
            "--dataset {}: this is the benchmark's {} file ({} rows), and this run is made with its {} file ({} rows); give that one, \
             or --any-dataset for a run with test settings",
            dataset.path.display(),
            found.name(),
            found.rows(),
            wanted.name(),
            wanted.rows()
        );
    }
    Ok(())
}

/// LoadGen's word for a mode.
pub(crate) fn loadgen_mode(mode: Mode) -> loadgen::Mode {
    match mode {
        Mode::Performance => loadgen::Mode::PerformanceOnly,
        Mode::Accuracy => loadgen::Mode::AccuracyOnly,
        Mode::FindPeak => loadgen::Mode::FindPeakPerformance,
    }
}

fn loadgen_settings(args: &RunArgs, scenario: Scenario, mode: Mode, output: &Path) -> Settings {
    let loadgen_scenario = match scenario {
        Scenario::Offline => loadgen::Scenario::Offline,
        Scenario::Server | Scenario::Interactive => loadgen::Scenario::Server,
    };
    let model = &rules().scenario(scenario).model_name.value;
    let mut settings = Settings::new(loadgen_scenario, loadgen_mode(mode), model.as_str(), output);
    settings.user_conf = args.user_conf.clone();
    settings.audit_config = args.audit_config.clone();
    if let Some(qps) = args.target_qps {
        settings.overrides.set_target_qps(qps);
    }
    settings
}

fn prompts(
    args: &RunArgs,
    echo: bool,
    dataset: Option<&Dataset>,
    requested: &TestSettings,
) -> Result<Arc<[Arc<[TokenId]>]>> {
    if !echo {
        let dataset = dataset
            .context("missing --dataset FILE: the parquet file with the tokenised prompts")?;
        return Ok(dataset.prompts.clone().into());
    }
    let asked = match requested.mode {
        loadgen::Mode::AccuracyOnly => requested.accuracy_sample_count_override,
        loadgen::Mode::PerformanceOnly
        | loadgen::Mode::FindPeakPerformance
        | loadgen::Mode::SubmissionRun => requested.performance_sample_count_override,
    };
    let rows = dataset.map_or(
        args.echo.echo_samples.unwrap_or(asked as usize),
        Dataset::len,
    );
    if !(1..=10_000_000).contains(&rows) {
        bail!(
            "--engine echo: {rows} samples; give --dataset, or --echo-samples between 1 and 10000000"
        );
    }
    // The echo engine answers by row and reads nothing else (see generator::echo).
    Ok((0..rows).map(|row| Arc::from([row as TokenId])).collect())
}

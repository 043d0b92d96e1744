//! From what was asked to what will be done. Everything that can be refused before the engine is started is refused here;
//! nothing is written yet.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ossmark_dataset::Dataset;
use ossmark_engine::check_sampling;
use ossmark_engine::types::{Sampling, TokenId};
use ossmark_loadgen::{Mode, Model, RequestedSettings, Scenario, Settings};

use crate::cli::{DtypeArg, EngineArg, EngineArgs, ModeArg, RunArgs, ScenarioArg, StreamArg};
use crate::generator::choice::EnginePlan;
use crate::generator::drill::Drill;
use crate::rules::{Audit, ModeName, OfficialFile, ScenarioName, rules};
use crate::sut::RequestTemplate;
use crate::terminal::note;
use crate::user_conf::{self, Kind};

/// What a run will do, validated.
pub(crate) struct RunPlan {
    pub(crate) round: String,
    pub(crate) scenario: ScenarioArg,
    pub(crate) mode: ModeArg,
    pub(crate) engine: EnginePlan,
    pub(crate) prompts: Arc<[Arc<[TokenId]>]>,
    /// `None`: stand-in prompts of the echo engine.
    pub(crate) dataset: Option<Dataset>,
    pub(crate) template: RequestTemplate,
    pub(crate) dtype: DtypeArg,
    pub(crate) loadgen: Settings,
    pub(crate) requested: RequestedSettings,
    pub(crate) output: PathBuf,
    pub(crate) force: bool,
    pub(crate) watchdog: Duration,
    pub(crate) drill: Option<Drill>,
    pub(crate) json: Option<PathBuf>,
}

const DEFAULT_ROUND: &str = "v6.1";
const DEFAULT_WATCHDOG_S: f64 = 300.0;

/// Validates what was asked.
pub(crate) fn plan(args: RunArgs) -> Result<RunPlan> {
    let scenario = required(args.scenario, "--scenario offline|server|interactive")?;
    let mode = required(args.mode, "--mode performance|accuracy|find-peak")?;
    let output = required(args.output.clone(), "--output DIR")?;
    let round = args.round.clone().unwrap_or_else(|| DEFAULT_ROUND.into());
    let Some(round_rules) = rules().round(&round) else {
        let known: Vec<&str> = rules().rounds().collect();
        bail!(
            "--round {round}: not known; expected one of {}",
            known.join(", ")
        );
    };
    check_configuration_files(&args)?;

    let loadgen = loadgen_settings(&args, scenario, mode, &output);
    let requested = loadgen.requested()?;
    let echo = args.engine == Some(EngineArg::Echo);
    let dataset = args.dataset.as_deref().map(Dataset::open).transpose()?;
    if let Some(dataset) = &dataset {
        check_dataset(&args, dataset, mode)?;
    }
    let prompts = prompts(&args, echo, dataset.as_ref(), &requested)?;
    loadgen.check(prompts.len() as u64, prompts.len() as u64)?;
    let max_new_tokens = args
        .max_new_tokens
        .unwrap_or_else(|| rules().max_new_tokens(mode_name(mode)).value[0]);
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
    check_sampling(&sampling)?;
    let seed = args.seed.unwrap_or(round_rules.qsl_rng_seed.value);
    // Answers that come whole may all be under way for as long as one may take.
    let default_watchdog = match args.engine {
        Some(EngineArg::Http) => {
            let timeout = args.http.http_timeout;
            timeout.unwrap_or(ossmark_remote::Settings::TIMEOUT.as_secs_f64()) + 60.0
        }
        _ => DEFAULT_WATCHDOG_S,
    };
    let watchdog = args.watchdog.unwrap_or(default_watchdog);
    if !(0.01..=1e6).contains(&watchdog) {
        bail!("--watchdog {watchdog}: expected seconds between 0.01 and 1000000");
    }
    let drill = args
        .drill
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(anyhow::Error::msg)?;
    let dtype = args.dtype.unwrap_or(DtypeArg::Bf16);
    let mut engine = EnginePlan::choose(&engine_args(&args), &args.echo)?;
    let streaming = args.http.http_stream.unwrap_or(StreamArg::Auto);
    engine.stream_unless_told(streaming, scenario != ScenarioArg::Offline);
    Ok(RunPlan {
        round,
        scenario,
        mode,
        engine,
        prompts,
        dataset,
        template: RequestTemplate {
            sampling,
            max_new_tokens,
            seed,
        },
        dtype,
        loadgen,
        requested,
        output,
        force: args.force,
        watchdog: Duration::from_secs_f64(watchdog),
        drill,
        json: args.json,
    })
}

pub(crate) fn mode_name(mode: ModeArg) -> ModeName {
    match mode {
        ModeArg::Performance => ModeName::Performance,
        ModeArg::Accuracy => ModeName::Accuracy,
        ModeArg::FindPeak => ModeName::FindPeak,
    }
}

pub(crate) fn scenario_name(scenario: ScenarioArg) -> ScenarioName {
    match scenario {
        ScenarioArg::Offline => ScenarioName::Offline,
        ScenarioArg::Server => ScenarioName::Server,
        ScenarioArg::Interactive => ScenarioName::Interactive,
    }
}

/// The options that `run` shares with other commands.
fn engine_args(args: &RunArgs) -> EngineArgs {
    EngineArgs {
        model: args.model.clone(),
        engine: args.engine,
        dtype: args.dtype,
        kv_dtype: args.kv_dtype,
        cuda: args.cuda.clone(),
        synthetic: args.synthetic.clone(),
        dp: args.dp,
        kv_memory_mib: args.kv_memory_mib,
        max_batch: args.max_batch,
        max_step_tokens: args.max_step_tokens,
        threads: args.threads,
        http: Some(args.http.clone()),
    }
}

fn required<T>(value: Option<T>, flag: &str) -> Result<T> {
    value.with_context(|| format!("missing {flag} (on the command line or in --config)"))
}

/// LoadGen drops or misreads lines in silence, so both files are read by stricter eyes first. An `audit.config` in the
/// working directory is refused: LoadGen's usual wrappers would run it as a compliance test, so that beside this run it is
/// almost surely a mistake.
fn check_configuration_files(args: &RunArgs) -> Result<()> {
    user_conf::refuse_stray_audit(Path::new("."), args.audit_config.as_deref())?;
    for (file, kind) in [
        (&args.user_conf, Kind::User),
        (&args.audit_config, Kind::Audit),
    ] {
        if let Some(file) = file {
            for warning in user_conf::lint_file(file, kind)? {
                note!("ossmark: warning: {warning}");
            }
        }
    }
    Ok(())
}

/// Only a file that is known to be for another kind of run is refused: that is a mistake, found out after hours. Any other makes the
/// run one with test settings (`rules`).
fn check_dataset(args: &RunArgs, dataset: &Dataset, mode: ModeArg) -> Result<()> {
    let audit = args
        .audit_config
        .as_ref()
        .map(|file| Audit::of(&ossmark_files::read_to_string(file).unwrap_or_default()));
    let wanted = OfficialFile::wanted(mode_name(mode), audit);
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

fn loadgen_settings(
    args: &RunArgs,
    scenario: ScenarioArg,
    mode: ModeArg,
    output: &Path,
) -> Settings {
    let (loadgen_scenario, model) = match scenario {
        ScenarioArg::Offline => (Scenario::Offline, Model::GptOss120b),
        ScenarioArg::Server => (Scenario::Server, Model::GptOss120b),
        ScenarioArg::Interactive => (Scenario::Server, Model::GptOss120bInteractive),
    };
    let mode = match mode {
        ModeArg::Performance => Mode::Performance,
        ModeArg::Accuracy => Mode::Accuracy,
        ModeArg::FindPeak => Mode::FindPeak,
    };
    let mut settings = Settings::new(loadgen_scenario, mode, model, output);
    settings.user_conf = args.user_conf.clone();
    settings.audit_config = args.audit_config.clone();
    settings.overrides.target_qps = args.target_qps;
    settings
}

fn prompts(
    args: &RunArgs,
    echo: bool,
    dataset: Option<&Dataset>,
    requested: &RequestedSettings,
) -> Result<Arc<[Arc<[TokenId]>]>> {
    if !echo {
        let dataset = dataset
            .context("missing --dataset FILE: the parquet file with the tokenised prompts")?;
        return Ok(dataset.prompts.clone().into());
    }
    let asked = match requested.mode {
        Mode::Accuracy => requested.accuracy_sample_count_override,
        Mode::Performance | Mode::FindPeak => requested.performance_sample_count_override,
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

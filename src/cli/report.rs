//! The command lines of `ossmark report`, `compare`, `runs` and `watch`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ossmark_rules::{Mode, Scenario};

#[derive(Args, Debug)]
#[command(override_usage = "ossmark report <RUN>... --output <FILE.html> [OPTIONS]")]
pub(crate) struct ReportArgs {
    /// Directories of runs, as --output of `run` names them; several stand side by side.
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// The page: one file that opens from the disk and asks for nothing.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) output: PathBuf,
    /// Write the figures that it shows as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move earlier output files aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
#[command(override_usage = "ossmark compare <RUN> <RUN>... [OPTIONS]
       ossmark compare <RUN>... --with <RUN>... [OPTIONS]")]
pub(crate) struct CompareArgs {
    /// Directories of runs. The first is side A and the others side B; with --with all of them are side A.
    #[arg(required = true, value_name = "RUN")]
    pub(crate) runs: Vec<PathBuf>,
    /// Side B. With two runs or more on each side the intervals come from the runs.
    #[arg(long, value_name = "RUN", num_args = 1..)]
    pub(crate) with: Vec<PathBuf>,
    /// Differences below so many per cent are noise, however sure they are.
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = percent)]
    pub(crate) floor: f64,
    /// Exit 1 when a metric differs by more than this and by more than noise, or when that cannot be told.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) expect_within: Option<f64>,
    /// Write the comparison as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RunsArgs {
    /// Where to look; directories in it are looked into, hidden ones and links are not.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Only runs of this scenario.
    #[arg(long, value_enum)]
    pub(crate) scenario: Option<Scenario>,
    /// Only runs of this mode.
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,
    /// Only runs with this verdict.
    #[arg(long, value_enum)]
    pub(crate) verdict: Option<VerdictArg>,
    /// Only runs with these settings.
    #[arg(long, value_enum)]
    pub(crate) settings: Option<SettingsArg>,
    /// Write the list as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct WatchArgs {
    /// The run's directory, as --output of `run` names it.
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Print one view and end.
    #[arg(long)]
    pub(crate) once: bool,
}

/// A verdict to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerdictArg {
    Valid,
    Invalid,
}

impl VerdictArg {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

/// Settings to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SettingsArg {
    Official,
    Test,
}

impl SettingsArg {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Official => "official",
            Self::Test => "test",
        }
    }
}

/// From 0 on.
fn percent(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    match value.is_finite() && value >= 0.0 {
        true => Ok(value),
        false => Err("expected a number from 0 on".into()),
    }
}

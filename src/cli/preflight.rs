//! The command line of `ossmark preflight`.

use std::path::PathBuf;

use clap::Args;
use ossmark_rules::Mode;

use super::run_options::RunOptions;

#[derive(Args, Debug)]
#[command(override_usage = "ossmark preflight [--scenario <SCENARIO>] [OPTIONS]
                         [OPTIONS OF run]")]
pub(crate) struct PreflightArgs {
    /// Only this run of the scenario [default: performance, accuracy and the compliance tests].
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,
    /// Where the runs are to go: its disk is looked at.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) output: PathBuf,
    /// LoadGen's user.conf of the runs.
    #[arg(long, value_name = "FILE")]
    pub(crate) user_conf: Option<PathBuf>,
    /// Only the run of this compliance test's audit.config.
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_config: Option<PathBuf>,
    /// Overrides user.conf's target_qps.
    #[arg(long, value_name = "X")]
    pub(crate) target_qps: Option<f64>,
    /// An earlier run's directory: how long its samples took says how long those of the runs will, and whether they can pass.
    #[arg(long, value_name = "RUN")]
    pub(crate) from: Option<PathBuf>,
    /// Write the result as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) run: RunOptions,
}

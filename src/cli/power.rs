//! What measures power beside a run.

use clap::Args;

use super::heading;

#[derive(Args, Debug, Default, Clone)]
#[command(next_help_heading = heading::POWER)]
pub(crate) struct PowerArgs {
    /// A program that prints watts, a line a reading, for as long as it likes or once each time it is started: arguments
    /// quoted as in a shell, run without one and without OSSMARK_API_KEY. Only on the command line, never in --config.
    #[arg(long, value_name = "CMD")]
    pub(crate) power_command: Option<String>,
    /// The metrics of an exporter, such as http://host:9400/metrics of NVIDIA's DCGM exporter.
    #[arg(long, value_name = "URL")]
    pub(crate) power_prometheus: Option<String>,
    /// Of another exporter, its metric of watts; all its series are added up.
    #[arg(long, value_name = "NAME")]
    pub(crate) power_metric: Option<String>,
}

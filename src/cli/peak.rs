//! The command line of `ossmark peak`.

use std::path::PathBuf;

use clap::Args;

use super::heading::SEARCH;
use super::run_options::RunOptions;

#[derive(Args, Debug)]
#[command(
    override_usage = "ossmark peak --scenario <SCENARIO> --output <DIR> [OPTIONS]
                    [OPTIONS OF run]"
)]
pub(crate) struct PeakArgs {
    /// Where the search is kept, with a directory for each run. One that holds a search of the same settings is gone on with.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Move an earlier search in the output directory aside and begin anew.
    #[arg(long)]
    pub(crate) force: bool,
    /// LoadGen's user.conf for runs of official length; its target_qps is what is looked for.
    #[arg(long, value_name = "FILE")]
    pub(crate) user_conf: Option<PathBuf>,
    /// Runs of official length at most.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) official_runs: u32,
    /// A load that passed once is the highest: it is not run again.
    #[arg(help_heading = SEARCH, long)]
    pub(crate) no_confirm: bool,
    /// No run is begun when those before took so long together: 90s, 45m, 12h [default: as long as it takes].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) budget: Option<u64>,
    /// Short runs at most, before those of official length.
    #[arg(help_heading = SEARCH, long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) probes: u32,
    /// Samples of a short run at least; more where an answer takes long.
    #[arg(help_heading = SEARCH, long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(50..=1_000_000))]
    pub(crate) probe_samples: u32,
    /// The highest load that is looked at, in queries a second [default: twice what the model can serve].
    #[arg(help_heading = SEARCH, long, value_name = "X")]
    pub(crate) highest_qps: Option<f64>,
    /// Write the result as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunOptions,
}

/// Seconds.
fn duration(text: &str) -> Result<u64, String> {
    let expected = || "expected a whole number of s, m or h, such as 45m".to_owned();
    let (number, unit) = match text.chars().next_back() {
        Some('s') => (&text[..text.len() - 1], 1),
        Some('m') => (&text[..text.len() - 1], 60),
        Some('h') => (&text[..text.len() - 1], 3600),
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    match number.checked_mul(unit) {
        Some(seconds) if (1..=31_536_000).contains(&seconds) => Ok(seconds),
        _ => Err("expected 1s to 8760h".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations() {
        for (text, seconds) in [("90s", 90), ("45m", 2700), ("12h", 43_200)] {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for text in [
            "",
            "12",
            "h",
            "-1h",
            "1.5h",
            "0s",
            "9999999h",
            "1d",
            "１h",
            "18446744073709551615h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}

//! The command line of `ossmark endpoints`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Subcommand, Debug)]
pub(crate) enum EndpointsCommand {
    /// Everything that MLCommons' own checker objects to in a submission of MLPerf Endpoints, and what it lets through.
    ///
    /// Example: ossmark endpoints check submissions/org --json findings.json
    Check(EndpointsCheckArgs),
    /// The points of a curve: regions, requests, hours, seeds.
    ///
    /// Example: ossmark endpoints plan --c-max 512 --c-min 32 --seconds 32=4.5 --seconds 512=21
    Plan(EndpointsPlanArgs),
}

#[derive(Args, Debug)]
pub(crate) struct EndpointsPlanArgs {
    /// The maximum supported concurrency, more than 32.
    #[arg(long, value_name = "N")]
    pub(crate) c_max: u32,
    /// The lowest concurrency, 1 to 32; lower ones take longer.
    #[arg(long, value_name = "N", default_value_t = 32)]
    pub(crate) c_min: u32,
    /// Seconds of an answer at a concurrency, measured or guessed; several times, and what lies between is interpolated.
    #[arg(long, value_name = "C=SECONDS", value_parser = service_time)]
    pub(crate) seconds: Vec<(i128, f64)>,
    /// An Offline run of its own, instead of electing the point at C_max.
    #[arg(long)]
    pub(crate) dedicated_offline: bool,
    /// C_min is declared in every system_desc.json (c_min_override).
    #[arg(long)]
    pub(crate) c_min_override: bool,
    /// Write the plan as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

fn service_time(text: &str) -> Result<(i128, f64), String> {
    let expected = "expected a concurrency of at least 1 and seconds above 0, as 32=4.5";
    let (at, seconds) = text.split_once('=').ok_or(expected)?;
    let at: u32 = at.parse().map_err(|_| expected)?;
    let seconds: f64 = seconds.parse().map_err(|_| expected)?;
    if at == 0 || !seconds.is_finite() || seconds <= 0.0 {
        return Err(expected.into());
    }
    Ok((at.into(), seconds))
}

#[derive(Args, Debug)]
pub(crate) struct EndpointsCheckArgs {
    /// The organisation's directory, or the submission's below it that holds results/, docs/ and src/.
    #[arg(value_name = "TREE")]
    pub(crate) tree: PathBuf,
    /// The verdict of MLCommons' own checker: its rules and severities, nothing else.
    #[arg(long)]
    pub(crate) official_only: bool,
    /// Warnings count as errors do.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Write verdict and findings as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

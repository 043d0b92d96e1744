//! The command line of ossmark: parses, dispatches, maps results to exit codes. See docs/architecture.md.
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests open what they made")
)]
#![forbid(unsafe_code)]

mod bench;
mod children;
mod cli;
mod commands;
mod doctor;
mod exit;
mod generator;
mod output;
mod pairing;
mod run;
mod terminal;

use std::process::ExitCode;

use crate::cli::{
    AuditCommand, AuditorCommand, BenchCommand, Cli, Command, DatasetCommand, EndpointsCommand,
    SubmissionCommand,
};

/// A query is allocated on one thread and freed on another, in LoadGen as here; glibc spent a third of the saturated Server
/// benchmark on that. Replaces C++ allocation too (`ossmark bench loadgen` shows the difference).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let result = cli::config_file::parse(std::env::args_os().collect()).and_then(dispatch);
    ossmark_telemetry::end_commands();
    match result.map_err(anyhow::Error::downcast::<clap::Error>) {
        Ok(outcome) => exit::exit_code(Ok(outcome)),
        Err(Ok(said)) => exit::usage(&said),
        Err(Err(error)) => exit::exit_code(Err(error)),
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<exit::Outcome> {
    if cli.quiet {
        terminal::be_quiet();
    }
    match cli.command {
        Command::Demo(args) => commands::demo::demo(&args),
        Command::Run(args) => run::run(*args),
        Command::Peak(args) => commands::peak::peak(&args),
        Command::Preflight(args) => commands::preflight::preflight(&args),
        Command::Generate(args) => commands::generate::generate(&args),
        Command::Infer(args) => commands::infer::infer(&args),
        Command::Score(args) => commands::score::score(&args),
        Command::Report(args) => commands::report::report(&args),
        Command::Compare(args) => commands::compare::compare(&args),
        Command::Runs(args) => commands::runs::runs(&args),
        Command::Watch(args) => commands::watch::watch(&args),
        Command::Dataset {
            command: DatasetCommand::Prepare(args),
        } => commands::prepare::dataset(&args),
        Command::Dataset {
            command: DatasetCommand::Inspect(args),
        } => commands::dataset::inspect(&args),
        Command::Bench {
            command: BenchCommand::Kernels(args),
        } => bench::device::kernels(&args),
        Command::Bench {
            command: BenchCommand::Tune(args),
        } => bench::tune::tune(&args),
        Command::Bench {
            command: BenchCommand::Engine(args),
        } => bench::device::engine(&args),
        Command::Bench {
            command: BenchCommand::Loadgen(args),
        } => bench::loadgen::run(&args),
        Command::Submission {
            command: SubmissionCommand::Build(args),
        } => commands::submission::build(&args),
        Command::Submission {
            command: SubmissionCommand::Check(args),
        } => commands::submission::check(&args),
        Command::Submission {
            command: SubmissionCommand::Rehearse(args),
        } => commands::submission::rehearse(&args),
        Command::Submission {
            command: SubmissionCommand::Truncate(args),
        } => commands::submission::truncate(&args),
        Command::Submission {
            command: SubmissionCommand::Pack(args),
        } => commands::submission::pack(&args),
        Command::Audit {
            command: AuditCommand::Test07(args),
        } => commands::audit::test07(&args),
        Command::Audit {
            command: AuditCommand::Test09(args),
        } => commands::audit::test09(&args),
        Command::Auditor {
            command: AuditorCommand::Anomalies(args),
        } => commands::auditor::anomalies::anomalies(&args),
        Command::Auditor {
            command: AuditorCommand::Fingerprint(args),
        } => commands::auditor::fingerprint::fingerprint(&args),
        Command::Auditor {
            command: AuditorCommand::Reproduce(args),
        } => commands::auditor::reproduce::reproduce(&args),
        Command::Auditor {
            command: AuditorCommand::Perturb(args),
        } => commands::auditor::perturb::perturb(&args),
        Command::Auditor {
            command: AuditorCommand::Report(args),
        } => commands::auditor::report::report(&args),
        Command::Endpoints {
            command: EndpointsCommand::Check(args),
        } => commands::endpoints::check(&args),
        Command::Endpoints {
            command: EndpointsCommand::Plan(args),
        } => commands::endpoints::plan(&args),
        Command::Endpoints {
            command: EndpointsCommand::Build(args),
        } => commands::endpoints::build::build(&args),
        Command::Endpoints {
            command: EndpointsCommand::Report(args),
        } => commands::endpoints::report(&args),
        Command::Endpoints {
            command: EndpointsCommand::Run(args),
        } => commands::endpoints::run::run(&args),
        Command::Serve(args) => commands::serve::serve(&args),
        Command::Doctor(args) => commands::doctor::doctor(&args),
        Command::Completions { shell } => commands::completions::completions(shell),
        Command::Man { page } => commands::completions::man(&page),
        Command::BenchLoadgenChild(args) => bench::child::run(&args),
        Command::Confine { spec } => commands::confine::confine(&spec),
    }
}

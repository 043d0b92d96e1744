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
mod config;
mod doctor;
mod exit;
mod faults;
mod generator;
mod infer;
mod ledger;
mod loading;
mod logs;
mod metrics;
mod output;
mod pairing;
mod progress;
mod provenance;
mod responder;
mod rules;
mod run;
mod sut;
mod terminal;
mod user_conf;
mod verdict;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{AuditCommand, BenchCommand, Cli, Command, DatasetCommand, SubmissionCommand};

/// A query is allocated on one thread and freed on another, in LoadGen as here; glibc spent a third of the saturated Server
/// benchmark on that. Replaces C++ allocation too (`ossmark bench loadgen` shows the difference).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(said) => return exit::usage(&said),
    };
    let result = match cli.command {
        Command::Demo(args) => commands::demo::demo(&args),
        Command::Run(args) => run::run(*args),
        Command::Generate(args) => commands::generate::generate(&args),
        Command::Infer(args) => commands::infer::infer(&args),
        Command::Score(args) => commands::score::score(&args),
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
        Command::Serve(args) => commands::serve::serve(&args),
        Command::Doctor(args) => commands::doctor::doctor(&args),
        Command::BenchLoadgenChild(args) => bench::child::run(&args),
        Command::Confine { spec } => commands::confine::confine(&spec),
    };
    exit::exit_code(result)
}

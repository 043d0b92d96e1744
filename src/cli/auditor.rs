//! The command line of `ossmark auditor`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use ossmark_rules::Scenario;

use super::heading;
use super::{EngineArgs, HttpArgs, SamplingArgs};

#[derive(Subcommand, Debug)]
pub(crate) enum AuditorCommand {
    /// What of a run or of a submission's tree is not as usual: figure, what is usual, how rare, what to ask.
    ///
    /// No verdict. What the input cannot show is listed. Exits 1 when there is something to ask. See docs/auditing.md.
    #[command(after_help = r"Example:
  ossmark auditor anomalies inference_results --json anomalies.json")]
    Anomalies(AuditorAnomaliesArgs),
    /// This machine against its description in a submission, field by field, with what cannot be seen.
    ///
    /// Exits 1 when a field differs.
    #[command(after_help = r"Example:
  ossmark auditor fingerprint --system closed/Org/systems/box.json \
      --model gpt-oss-120b/ --json fingerprint.json")]
    Fingerprint(AuditorFingerprintArgs),
    /// A result's run made again here, and compared by the rules' 2% with the fields that they name.
    ///
    /// From the tree only named numbers are taken, never a path, an address, a command or a key: model, data, endpoint and
    /// output are yours. Exits 1 when the result was not reproduced.
    #[command(after_help = r"Example:
  ossmark auditor reproduce inference_results --scenario server \
      --dataset perf_eval_ref.parquet --output again -- \
      --engine http --endpoint http://127.0.0.1:30000")]
    Reproduce(AuditorReproduceArgs),
    /// Questions to a changed model, and changed and other questions: what an implementation made for the benchmark fails.
    ///
    /// One layer left out, experts swapped (--engine cpu, at counted, equal work); one token of each prompt changed, other
    /// prompts (every engine). Exits 1 when there is something to ask.
    #[command(after_help = r"Example:
  ossmark auditor perturb --model demo --dataset demo/accuracy.parquet \
      --other demo/perf.parquet --rows 60")]
    Perturb(Box<AuditorPerturbArgs>),
    /// One page and its data: what was done, found, asked and is open, and the chain from checkpoint to score.
    #[command(after_help = r"Example:
  ossmark auditor report anomalies.json fingerprint.json reproduce.json \
      --run again/accuracy --output audit.html")]
    Report(AuditorReportArgs),
}

#[derive(Args, Debug)]
pub(crate) struct AuditorAnomaliesArgs {
    /// The directory of a run, or the one that holds closed/ or open/.
    #[arg(value_name = "TREE|RUN")]
    pub(crate) input: PathBuf,
    /// Write what was found as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct AuditorFingerprintArgs {
    /// The system's description in the submission (systems/NAME.json) [default: only look].
    #[arg(long, value_name = "FILE")]
    pub(crate) system: Option<PathBuf>,
    /// A run_plan.json of the submission, whose commit and hashes are compared as well.
    #[arg(long, value_name = "FILE")]
    pub(crate) run_plan: Option<PathBuf>,
    /// Hash the safetensors and tokenizer.json in this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Hash this data set; give it again for more of them.
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: Vec<PathBuf>,
    /// A git checkout of the source: its commit. Whether files were changed is not looked at; see `git status` there.
    #[arg(long, value_name = "DIR")]
    pub(crate) source: Option<PathBuf>,
    /// The commit that was submitted, at least 7 digits [default: that of --run-plan].
    #[arg(long, value_name = "COMMIT")]
    pub(crate) commit: Option<String>,
    /// Write the machine and the comparison as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "ossmark auditor reproduce <TREE> --scenario <SCENARIO> --output <DIR>
                                 [OPTIONS] -- <RUN OPTIONS>...
       ossmark auditor reproduce <TREE> --scenario <SCENARIO> --measured <DIR>
                                 [OPTIONS]
       ossmark auditor reproduce <TREE> --scenario <SCENARIO> --dry-run"
)]
pub(crate) struct AuditorReproduceArgs {
    /// The directory that holds closed/ or open/.
    #[arg(value_name = "TREE")]
    pub(crate) tree: PathBuf,
    /// The scenario whose result is made again.
    #[arg(long, value_enum)]
    pub(crate) scenario: Scenario,
    /// Of several results of this scenario the one whose path has this in it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) result: Option<String>,
    /// Where the runs go.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Only print user.conf and the commands.
    #[arg(long = "dry-run", visible_alias = "print", conflicts_with = "output")]
    pub(crate) print: bool,
    /// A performance run that was made already, by any harness with LoadGen's logs: nothing is run.
    #[arg(help_heading = heading::MADE_ALREADY, long, value_name = "DIR", conflicts_with_all = ["output", "print"])]
    pub(crate) measured: Option<PathBuf>,
    /// An accuracy run that was made already, with the scorer's accuracy.txt.
    #[arg(help_heading = heading::MADE_ALREADY, long, value_name = "DIR")]
    pub(crate) accuracy: Option<PathBuf>,
    /// TEST07 as it was made already, with verify_accuracy.txt.
    #[arg(help_heading = heading::MADE_ALREADY, long, value_name = "DIR")]
    pub(crate) test07: Option<PathBuf>,
    /// TEST09 as it was made already, with verify_output_len.txt.
    #[arg(help_heading = heading::MADE_ALREADY, long, value_name = "DIR")]
    pub(crate) test09: Option<PathBuf>,
    /// Also make and score the accuracy run, over this data set.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tokenizer",
        conflicts_with = "accuracy"
    )]
    pub(crate) accuracy_dataset: Option<PathBuf>,
    /// tokenizer.json or its directory, for the score.
    #[arg(long, value_name = "PATH")]
    pub(crate) tokenizer: Option<PathBuf>,
    /// LiveCodeBench's problems, for the score.
    #[arg(long, value_name = "PATH", num_args = 1..)]
    pub(crate) lcb_problems: Vec<PathBuf>,
    /// Also make TEST09, over the performance data set.
    #[arg(long, conflicts_with = "test09")]
    pub(crate) compliance: bool,
    /// Also make TEST07, over this data set (GPQA's 990).
    #[arg(
        long,
        value_name = "FILE",
        requires = "tokenizer",
        conflicts_with = "test07"
    )]
    pub(crate) compliance_dataset: Option<PathBuf>,
    /// The performance data set, for the runs that are made.
    #[arg(long, value_name = "FILE")]
    pub(crate) dataset: Option<PathBuf>,
    /// Options of `ossmark run` that say who answers: --model, --engine, --endpoint, ...
    #[arg(last = true, value_name = "RUN OPTIONS", conflicts_with = "measured")]
    pub(crate) run: Vec<OsString>,
    /// Write the comparison as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move earlier runs and an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
#[command(
    override_usage = "ossmark auditor perturb --dataset <FILE.parquet> --model <DIR> [OPTIONS]
       ossmark auditor perturb --dataset <FILE.parquet> --engine http
                               --endpoint <URL> --tokenizer <PATH> [OPTIONS]"
)]
pub(crate) struct AuditorPerturbArgs {
    /// Questions with known answers: tokenised prompts, columns dataset and ground_truth. Programs are left out.
    #[arg(long, value_name = "FILE.parquet")]
    pub(crate) dataset: PathBuf,
    /// Other questions of the same kinds with known answers, which nobody can have prepared for.
    #[arg(long, value_name = "FILE.parquet")]
    pub(crate) other: Option<PathBuf>,
    /// Questions of each file, from all over it.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rows: u32,
    /// The layer that is left out, and whose experts are swapped, from 0 [default: the middle one].
    #[arg(long, value_name = "N")]
    pub(crate) layer: Option<u32>,
    /// Most tokens of an answer; of --engine cpu each answer has as many, so that all probes are the same work.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_new_tokens: u32,
    /// tokenizer.json or its directory, which reads the answers [default: that of --model].
    #[arg(long, value_name = "PATH")]
    pub(crate) tokenizer: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
    #[command(flatten)]
    pub(crate) http: HttpArgs,
    /// Write what came of each probe as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct AuditorReportArgs {
    /// What the other commands, and `submission check`, wrote with --json.
    #[arg(value_name = "FILE.json")]
    pub(crate) parts: Vec<PathBuf>,
    /// A run whose chain from checkpoint to score is shown; give it again for more of them.
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Vec<PathBuf>,
    /// The page: one file that opens from the disk and asks for nothing.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) output: PathBuf,
    /// Write what it shows as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move earlier output files aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

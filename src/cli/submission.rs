//! The command line of `ossmark submission`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Subcommand, Debug)]
pub(crate) enum SubmissionCommand {
    /// The tree that is submitted, from the directories of finished runs and one description.
    #[command(after_help = r"Example:
  ossmark submission build submission.toml --output tree")]
    Build(SubmissionBuildArgs),
    /// Everything that MLCommons' own checker objects to, and what it lets through.
    #[command(after_help = r"Example:
  ossmark submission check inference_results --round v6.1 \
      --submitter Org")]
    Check(SubmissionCheckArgs),
    /// Accuracy logs cut to their first and last characters, their hashes in accuracy.txt, the originals set aside.
    #[command(after_help = r"Example:
  ossmark submission truncate inference_results --submitter Org \
      --backup originals")]
    Truncate(SubmissionTruncateArgs),
    /// The whole way with scripted answers in a model's place: runs, scores, compliance tests, tree, check, packed file.
    ///
    /// Says first what it needs and how long it takes; --dry-run ends there. What it leaves is stamped REHEARSAL.
    #[command(after_help = r"Example:
  ossmark submission rehearse --short --output out/rehearsal")]
    Rehearse(SubmissionRehearseArgs),
    /// One file from a tree, the same bytes from the same files, with the hash of each; or the proof that such a file is whole.
    #[command(after_help = r"Example:
  ossmark submission pack inference_results --submitter Org \
      --output org.tar.zst")]
    Pack(SubmissionPackArgs),
}

#[derive(Args, Debug)]
pub(crate) struct SubmissionBuildArgs {
    /// Submitter, system, documents and the runs of each scenario; submission/example.toml is one to begin with.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) description: PathBuf,
    /// The directory that gets closed/, open/ or network/.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Accept valid runs with test settings; the system's name and the READMEs say that this is not to be submitted.
    #[arg(long)]
    pub(crate) rehearsal: bool,
    /// Move an earlier tree aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
pub(crate) struct SubmissionRehearseArgs {
    /// Where all of it goes.
    ///
    /// Gets runs/, audit/, tree/ with the submission, originals/ with the whole logs, check.json and the packed file.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: PathBuf,
    /// Runs of at least 5 s instead of ten minutes, and nothing else different: `check` names that.
    #[arg(long)]
    pub(crate) short: bool,
    /// Look at what is needed, say what would be done, and end.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The interpreter that runs LiveCodeBench's programs.
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub(crate) python: PathBuf,
    /// Move an earlier rehearsal aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
#[command(override_usage = "ossmark submission truncate <DIR> --submitter <NAME>
                                   --backup <DIR> [OPTIONS]")]
pub(crate) struct SubmissionTruncateArgs {
    /// The directory that holds closed/, open/ or network/.
    #[arg(long, value_name = "DIR")]
    pub(crate) input: PathBuf,
    /// Truncate this submitter's logs.
    #[arg(long, value_name = "NAME")]
    pub(crate) submitter: String,
    /// Where the whole logs go, with a manifest; outside the tree.
    #[arg(long, value_name = "DIR")]
    pub(crate) backup: PathBuf,
    /// Write what was done as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move an earlier --json file aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
#[command(override_usage = "ossmark submission pack <DIR> --submitter <NAME>
                               --output <FILE.tar.zst> [OPTIONS]
       ossmark submission pack --verify <FILE.tar.zst> [OPTIONS]")]
pub(crate) struct SubmissionPackArgs {
    /// The directory that holds closed/, open/ or network/.
    #[arg(long, value_name = "DIR", required_unless_present = "verify", requires_all = ["submitter", "output"])]
    pub(crate) input: Option<PathBuf>,
    /// Pack this submitter's directories.
    #[arg(long, value_name = "NAME", required_unless_present = "verify")]
    pub(crate) submitter: Option<String>,
    /// The file that is written.
    #[arg(long, value_name = "FILE.tar.zst", required_unless_present = "verify")]
    pub(crate) output: Option<PathBuf>,
    /// Check a packed file instead.
    #[arg(long, value_name = "FILE.tar.zst", conflicts_with_all = ["input", "submitter", "output"])]
    pub(crate) verify: Option<PathBuf>,
    /// Write what was packed or verified as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move earlier files aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Args, Debug)]
#[command(override_usage = "ossmark submission check <DIR> [OPTIONS]
       ossmark submission check --explain <RULE>")]
pub(crate) struct SubmissionCheckArgs {
    /// The directory that holds closed/, open/ or network/.
    #[arg(long, value_name = "DIR", required_unless_present = "explain")]
    pub(crate) input: Option<PathBuf>,
    /// What a rule of the report asks for.
    ///
    /// And why it weighs what it weighs, where it is written and how to fix what it finds.
    #[arg(long, value_name = "RULE", exclusive = true)]
    pub(crate) explain: Option<String>,
    /// The MLPerf round whose rules apply: v6.0, v6.1.
    #[arg(long, value_name = "ROUND", default_value = "v6.1")]
    pub(crate) round: String,
    /// Look at this submitter's directories only.
    #[arg(long, value_name = "NAME")]
    pub(crate) submitter: Option<String>,
    /// The verdict of MLCommons' own checker: only what it objects to counts.
    #[arg(long)]
    pub(crate) official_only: bool,
    /// Exit with 1 for questions too.
    ///
    /// They are what an auditor would ask and you can answer or hand in now.
    #[arg(long, conflicts_with = "official_only")]
    pub(crate) strict: bool,
    /// Check these whole logs against the tree's.
    ///
    /// As `submission truncate` set them aside (its --backup): their hashes and ends, TEST09's lengths and, with --dataset and
    /// --tokenizer, the score again.
    #[arg(long, value_name = "DIR", conflicts_with = "official_only")]
    pub(crate) originals: Option<PathBuf>,
    /// With --originals: the accuracy data set, columns dataset and ground_truth.
    #[arg(
        long,
        value_name = "FILE",
        requires = "originals",
        requires = "tokenizer"
    )]
    pub(crate) reference: Option<PathBuf>,
    /// With --originals: the model's directory, or its tokenizer.json.
    #[arg(
        long,
        value_name = "PATH",
        requires = "originals",
        requires = "reference"
    )]
    pub(crate) tokenizer: Option<PathBuf>,
    /// With --originals: LiveCodeBench's problems.
    ///
    /// Files, patterns, or the directory that holds test.jsonl to test6.jsonl.
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "originals")]
    pub(crate) lcb_problems: Vec<PathBuf>,
    /// With --originals: the interpreter that runs the programs.
    #[arg(long, value_name = "PATH", default_value = "python3")]
    pub(crate) python: PathBuf,
    /// Write the valid results as a table with the official checker's columns.
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Write verdict, results and findings as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Move earlier --csv and --json files aside instead of refusing.
    #[arg(long)]
    pub(crate) force: bool,
}

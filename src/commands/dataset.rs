//! `ossmark dataset inspect`: what a data set holds, which of the benchmark's files it is and which runs it suits.

use anyhow::Result;
use ossmark_dataset::{Dataset, histogram};
use ossmark_files::Brief;
use serde_json::json;

use crate::children;
use crate::cli::DatasetInspectArgs;
use crate::exit::Outcome;
use crate::output;
use crate::run::rules::OfficialFile;
use crate::terminal::say;

const BARS: usize = 10;
const BAR_WIDTH: usize = 40;
/// Names of data sets that are shown.
const NAMES: usize = 20;

pub(crate) fn inspect(args: &DatasetInspectArgs) -> Result<Outcome> {
    children::end_at_signal()?;
    let file = &args.dataset;
    let mut json_file = output::claim_optional(args.json.as_ref(), args.force)?;
    let dataset = Dataset::open(file)?;
    let stats = dataset.stats();
    let rows = dataset.len();
    let official = OfficialFile::of(&dataset);
    let suits = official.map_or(&[][..], OfficialFile::suits);
    say!("{}", file.display());
    say!("  rows            {rows}");
    say!(
        "  tokens          {} in column {}",
        stats.total,
        dataset.token_column
    );
    say!(
        "  prompt length   min {}, mean {:.1}, p50 {}, p99 {}, max {}",
        stats.min,
        stats.mean,
        stats.p50,
        stats.p99,
        stats.max
    );
    say!("  file sha256     {}", dataset.file_sha256);
    say!("  content sha256  {}", dataset.content_sha256);
    say!("  text columns    {}", dataset.text_columns.join(", "));
    let names = dataset.rows_by_name();
    for (name, rows) in names.iter().take(NAMES) {
        say!("  {:<15} {rows} rows", Brief(name).to_string());
    }
    if let Some(more) = names.len().checked_sub(NAMES + 1) {
        say!("  and {} more names", more + 1);
    }
    let bars = histogram(&dataset.prompts, BARS);
    let most = bars.iter().map(|bar| bar.prompts).max().unwrap_or(1);
    say!("  prompts by length in tokens");
    for bar in &bars {
        say!(
            "  {:>6}-{:<6}   {:>6} {}",
            bar.from,
            bar.to,
            bar.prompts,
            "#".repeat((bar.prompts * BAR_WIDTH).div_ceil(most))
        );
    }
    match official {
        Some(official) => say!(
            "  by rows and names it is the benchmark's {} file; it suits {}",
            official.name(),
            suits.join(", ")
        ),
        None => {
            let rows: Vec<String> = OfficialFile::ALL
                .map(|file| format!("{} {}", file.name(), file.rows()))
                .into();
            say!(
                "  it is none of the benchmark's files ({} rows); any run with it has test settings",
                rows.join(", ")
            );
        }
    }
    if let Some(json_file) = &mut json_file {
        let result = json!({
            "path": file, "rows": rows, "token_column": dataset.token_column, "file_sha256": dataset.file_sha256,
            "content_sha256": dataset.content_sha256, "datasets": dataset.rows_by_name(), "official_file": official, "suits": suits,
            "text_columns": dataset.text_columns,
            "prompt_tokens": { "min": stats.min, "mean": stats.mean, "p50": stats.p50, "p99": stats.p99, "max": stats.max,
                "total": stats.total },
            "histogram": bars.iter().map(|bar| json!({ "from": bar.from, "to": bar.to, "prompts": bar.prompts })).collect::<Vec<_>>(),
        });
        json_file.write_json(&result)?;
    }
    Ok(Outcome::Good)
}

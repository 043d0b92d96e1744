//! `ossmark dataset inspect`: what a data set holds, which of the benchmark's files it is and which runs it suits.

use anyhow::Result;
use ossmark_dataset::{Dataset, histogram};
use serde_json::json;

use crate::cli::DatasetInspectArgs;
use crate::exit::Outcome;
use crate::output;
use crate::rules::OfficialFile;

const BARS: usize = 10;
const BAR_WIDTH: usize = 40;

pub(crate) fn inspect(args: &DatasetInspectArgs) -> Result<Outcome> {
    let (file, json_file) = (&args.dataset, args.json.as_deref());
    if let Some(json_file) = json_file {
        output::claim_file(json_file, args.force)?;
    }
    let dataset = Dataset::open(file)?;
    let stats = dataset.stats();
    let rows = dataset.len();
    let official = OfficialFile::of(&dataset);
    let suits = official.map_or(&[][..], OfficialFile::suits);
    println!("{}", file.display());
    println!("  rows            {rows}");
    println!(
        "  tokens          {} in column {}",
        stats.total, dataset.token_column
    );
    println!(
        "  prompt length   min {}, mean {:.1}, p50 {}, p99 {}, max {}",
        stats.min, stats.mean, stats.p50, stats.p99, stats.max
    );
    println!("  file sha256     {}", dataset.file_sha256);
    println!("  content sha256  {}", dataset.content_sha256);
    println!(
        "  text columns    {}",
        dataset.text.keys().copied().collect::<Vec<_>>().join(", ")
    );
    for (name, rows) in dataset.rows_by_name() {
        println!("  {name:<15} {rows} rows");
    }
    let bars = histogram(&dataset.prompts, BARS);
    let most = bars.iter().map(|bar| bar.prompts).max().unwrap_or(1);
    println!("  prompts by length in tokens");
    for bar in &bars {
        println!(
            "  {:>6}-{:<6}   {:>6} {}",
            bar.from,
            bar.to,
            bar.prompts,
            "#".repeat((bar.prompts * BAR_WIDTH).div_ceil(most))
        );
    }
    match official {
        Some(official) => println!(
            "  by rows and names it is the benchmark's {} file; it suits {}",
            official.name(),
            suits.join(", ")
        ),
        None => {
            let rows: Vec<String> = OfficialFile::ALL
                .map(|file| format!("{} {}", file.name(), file.rows()))
                .into();
            println!(
                "  it is none of the benchmark's files ({} rows); any run with it has test settings",
                rows.join(", ")
            );
        }
    }
    if let Some(json_file) = json_file {
        let result = json!({
            "path": file, "rows": rows, "token_column": dataset.token_column, "file_sha256": dataset.file_sha256,
            "content_sha256": dataset.content_sha256, "datasets": dataset.rows_by_name(), "official_file": official, "suits": suits,
            "text_columns": dataset.text.keys().collect::<Vec<_>>(),
            "prompt_tokens": { "min": stats.min, "mean": stats.mean, "p50": stats.p50, "p99": stats.p99, "max": stats.max,
                "total": stats.total },
            "histogram": bars.iter().map(|bar| json!({ "from": bar.from, "to": bar.to, "prompts": bar.prompts })).collect::<Vec<_>>(),
        });
        output::write_json(json_file, &result)?;
    }
    Ok(Outcome::Good)
}

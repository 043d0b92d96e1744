//! `ossmark dataset inspect`: what a data set holds and whether it suits a mode.

use std::path::Path;

use anyhow::Result;
use ossmark_dataset::Dataset;
use serde_json::json;

use crate::exit::Outcome;
use crate::output;
use crate::rules::rules;

pub(crate) fn inspect(file: &Path, json_file: Option<&Path>) -> Result<Outcome> {
    if let Some(json_file) = json_file {
        output::claim_file(json_file, false)?;
    }
    let dataset = Dataset::open(file)?;
    let stats = dataset.stats();
    let rows = dataset.len() as u64;
    let suits: Vec<&str> = [
        ("performance", rules().performance.dataset_rows.value),
        ("accuracy", rules().accuracy.dataset_rows.value),
    ]
    .into_iter()
    .filter(|(_, wanted)| *wanted == rows)
    .map(|(mode, _)| mode)
    .collect();
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
    match suits.as_slice() {
        [] => println!(
            "  by its row count it is neither the official performance nor the official accuracy set"
        ),
        modes => println!(
            "  has the row count of the official {} set",
            modes.join(" and ")
        ),
    }
    if let Some(json_file) = json_file {
        let result = json!({
            "path": file, "rows": rows, "token_column": dataset.token_column, "file_sha256": dataset.file_sha256,
            "content_sha256": dataset.content_sha256, "datasets": dataset.rows_by_name(), "suits": suits,
            "text_columns": dataset.text.keys().collect::<Vec<_>>(),
            "prompt_tokens": { "min": stats.min, "mean": stats.mean, "p50": stats.p50, "p99": stats.p99, "max": stats.max,
                "total": stats.total },
        });
        output::write_json(json_file, &result)?;
    }
    Ok(Outcome::Good)
}

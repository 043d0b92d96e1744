//! Whole recipes over the files in fixtures/, which fixtures/make_fixtures.py wrote, and over broken ones.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]

mod broken;
mod forms;
mod golden;
mod parquet;

use std::path::{Path, PathBuf};

use ossmark_harmony::Harmony;
use ossmark_prepare::{Prepared, Recipe, Request, Result, prepare};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn demo() -> Harmony {
    Harmony::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../demo")).unwrap()
}

fn run(recipe: &Path, request: &Request, harmony: &Harmony) -> Result<Prepared> {
    prepare(&Recipe::load(recipe)?, recipe, request, harmony, &|_| ())
}

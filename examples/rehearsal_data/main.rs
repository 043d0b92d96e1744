//! Data sets and scripted answers for a rehearsal of a submission: see `submission/rehearsal.sh`.
//!
//! `cargo run --release --example rehearsal_data -- OUTPUT TOKENIZER`, the latter a model's directory or its tokenizer.json.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "for whoever builds it"
)]
#![allow(clippy::disallowed_methods, reason = "makes its own files")]

mod data;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [output, tokenizer] = arguments.as_slice() else {
        eprintln!("expected OUTPUT TOKENIZER");
        return ExitCode::from(2);
    };
    match data::write(Path::new(output), Path::new(tokenizer)) {
        Ok(written) => {
            println!("{written}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

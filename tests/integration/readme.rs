//! README.md as somebody follows it: its blocks, one after the other in one directory, as they are written. The program that
//! they call has the echo engine in a model's place, and settings that are short; data sets are made up under the benchmark's
//! names. Also what holds for all pages.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::common::{binary, finish, repository};
use crate::rehearsal::data;

const LIMIT: Duration = Duration::from_secs(300);

/// `ossmark` on the PATH. What people fill in is filled in, and an invalid submission is no failure of a block: 1 is "not
/// good".
const OSSMARK: &str = r#"#!/usr/bin/env bash
set -u
echo=(--engine echo --echo-ttft-ms 1 --echo-tpot-ms 0.05)
case " $* " in
*perf_eval_ref*) echo+=(--echo-script data/performance_script.parquet) ;;
*acc_eval_compliance*) echo+=(--echo-script data/compliance_script.parquet) ;;
esac
case "$1 ${2:-}" in
"demo "*)
    for mode in performance accuracy; do
        set=perf scenario=server
        [ $mode = performance ] || set=accuracy scenario=offline
        OSSMARK run "${echo[@]}" --scenario $scenario --mode $mode --dataset demo/$set.parquet --user-conf demo/user.conf \
            --target-qps 2000 --output out/demo/$scenario-$mode || exit
    done ;;
"run "* | "audit "*) exec OSSMARK "$@" "${echo[@]}" ;;
"submission rehearse") exec OSSMARK "$@" --dry-run ;;
"submission build")
    sed -i 's/"\.\.\."/"filled in"/' submission.toml
    exec OSSMARK "$@" --rehearsal ;;
*)
    OSSMARK "$@"
    code=$?
    [ $code -le 1 ] || exit $code ;;
esac
"#;

/// `cargo` on the PATH: what it is called for is done by .ci/run, .ci/fresh_demo and the build of this test.
const CARGO: &str = r#"#!/usr/bin/env bash
case "$*" in
"run --release -- demo" | "test --release --workspace" | "install --locked --path .") ;;
*) echo "cargo $*: found in README.md and in no part of .ci" >&2; exit 3 ;;
esac
"#;

/// Loads that LoadGen issues in seconds.
fn short(scenario: &str) -> String {
    format!(
        "gpt-oss-120b.{scenario}.target_qps = 3000\ngpt-oss-120b.{scenario}.min_duration = 100\n\
         gpt-oss-120b.{scenario}.min_query_count = 6396\ngpt-oss-120b.*.accuracy_sample_count_override = 480\n"
    )
}

fn place() -> tempfile::TempDir {
    let tmp = tempfile::tempdir().unwrap();
    let at = |name: &str| tmp.path().join(name);
    let repository = repository();
    for folder in ["bin", "mlperf_conf", "lcb", "src", "inference_results"] {
        fs::create_dir(at(folder)).unwrap();
    }
    for (name, script) in [("ossmark", OSSMARK), ("cargo", CARGO)] {
        let script = script.replace("OSSMARK", binary().to_str().unwrap());
        let file = at("bin").join(name);
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (scenario, name) in [("offline", "Offline"), ("server", "Server")] {
        fs::write(
            at(&format!("mlperf_conf/{scenario}.user.conf")),
            short(name),
        )
        .unwrap();
    }
    for (from, to) in [
        ("demo", "demo"),
        ("demo", "gpt-oss-120b"),
        ("submission", "submission"),
    ] {
        symlink(repository.join(from), at(to)).unwrap();
    }
    fs::write(at("src/README.md"), "public: ossmark\n").unwrap();
    data::write(&at("data"), &repository.join("demo")).unwrap();
    symlink("data/performance.parquet", at("perf_eval_ref.parquet")).unwrap();
    symlink(
        "data/compliance.parquet",
        at("acc_eval_compliance_gpqa.parquet"),
    )
    .unwrap();
    // 480 questions of the demo's: a score of 4395 takes longer, and tells nothing more of a block.
    symlink("demo/accuracy.parquet", at("acc_eval_ref.parquet")).unwrap();
    symlink("../demo/lcb_problems.jsonl", at("lcb/test.jsonl")).unwrap();
    let tree = repository.join("crates/submission/tests/fixtures/base_tree.tar.gz");
    tar::Archive::new(flate2::read::GzDecoder::new(fs::File::open(tree).unwrap()))
        .unpack(at("inference_results"))
        .unwrap();
    tmp
}

/// The blocks that a reader pastes into a shell.
fn blocks(page: &str) -> Vec<&str> {
    let parts = page.split("\n```").skip(1).step_by(2);
    parts.filter_map(|part| part.strip_prefix("sh\n")).collect()
}

#[test]
fn every_block_of_the_readme_runs_as_it_is_written() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let place = place();
    let path = format!(
        "{}:{}",
        place.path().join("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let blocks = blocks(&readme);
    assert!(blocks.len() >= 8, "{}", blocks.len());
    for block in blocks {
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", block])
            .current_dir(place.path())
            .env("PATH", &path);
        let done = finish(command, LIMIT);
        assert_eq!(
            done.code(),
            Some(0),
            "{block}\n{}\n{}",
            done.stdout,
            done.stderr
        );
    }
    for made in [
        "server.html",
        "audit.html",
        "tree/closed/Org",
        "Org.tar.zst",
        "accuracy.txt",
        "score.json",
    ] {
        assert!(place.path().join(made).exists(), "{made}");
    }
}

/// The first two commands of the README are those that decide whether a change lands.
#[test]
fn the_readme_and_ci_call_the_same() {
    let read = |name: &str| fs::read_to_string(repository().join(name)).unwrap();
    let readme = read("README.md");
    for (command, script) in [
        ("cargo run --release -- demo", ".ci/fresh_demo"),
        ("cargo test --release --workspace", ".ci/run"),
    ] {
        assert!(readme.contains(&format!("\n{command} ")), "{command}");
        assert!(read(script).contains(command), "{command} in {script}");
    }
}

fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(repository().join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = docs
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    pages.sort();
    pages
}

/// Who comes with a question has something to paste before anything has to be read.
#[test]
fn every_page_begins_with_something_to_paste() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let before = text.split("\n## ").next().unwrap_or_default();
        assert!(before.contains("\n```sh\n"), "{}", page.display());
    }
}

/// Links between pages, and the README's list of them.
#[test]
fn links_lead_to_files_and_headings() {
    let readme = repository().join("README.md");
    let text = fs::read_to_string(&readme).unwrap();
    for page in pages() {
        let name = format!("docs/{}", page.file_name().unwrap().to_str().unwrap());
        let is_maintainers = name == "docs/release.md";
        assert!(
            is_maintainers || text.contains(&format!("({name})")),
            "README.md names no {name}"
        );
    }
    for page in pages().into_iter().chain([readme]) {
        let text = fs::read_to_string(&page).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.contains("://") {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => page.parent().unwrap().join(file),
            };
            assert!(target.exists(), "{}: {link}", page.display());
            let has = heading.is_empty() || headings(&target).iter().any(|known| known == heading);
            assert!(has, "{}: {link}", page.display());
        }
    }
}

/// As they are named in links.
fn headings(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let lines = text.lines().filter(|line| line.starts_with('#'));
    let named = lines.map(|line| {
        let name = line.trim_start_matches('#').trim().to_lowercase();
        let name = name.replace(' ', "-");
        name.chars()
            .filter(|c| c.is_alphanumeric() || "-_".contains(*c))
            .collect()
    });
    named.collect()
}

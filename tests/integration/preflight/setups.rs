//! Mistakes in what a run is made with: a checkpoint, the memory for it, servers.

use std::path::Path;

use serde_json::Value;

use super::{CONF, preflight_by, wrong};
use crate::common::{Bench, repository};
use crate::remote::{Kind, Server};

/// A copy of the demo's checkpoint, changed.
fn checkpoint(change: &dyn Fn(&Path)) -> Bench {
    let bench = Bench::with_conf(CONF);
    let model = bench.dir.path().join("model");
    std::fs::create_dir(&model).unwrap();
    for entry in std::fs::read_dir(repository().join("demo")).unwrap() {
        let file = entry.unwrap().path();
        if file.is_file() {
            std::fs::copy(&file, model.join(file.file_name().unwrap())).unwrap();
        }
    }
    change(&model);
    bench
}

fn demo_data() -> String {
    let file = repository().join("demo/perf.parquet");
    file.to_str().unwrap().to_owned()
}

/// Of this name, what was found; of one that is good the text as well.
#[track_caller]
fn check<'a>(told: &'a Value, name: &str) -> (bool, &'a str) {
    let mut checks = told["checks"].as_array().unwrap().iter();
    let found = checks.find(|check| check["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no {name}: {told:#}"));
    (found["ok"] == true, found["found"].as_str().unwrap())
}

fn cut(file: &Path, bytes: u64) {
    let file = std::fs::File::options().write(true).open(file).unwrap();
    file.set_len(bytes).unwrap();
}

/// What is done to a checkpoint, options; what finds it, and a part of what is found.
type Mistake<'a> = (&'a dyn Fn(&Path), &'a [&'a str], &'a str, &'a str);

#[test]
fn mistakes_in_a_checkpoint_and_its_memory_are_found() {
    const WEIGHTS: &str = "model.safetensors";
    let remove =
        |file: &'static str| move |model: &Path| std::fs::remove_file(model.join(file)).unwrap();
    let damaged = |model: &Path| std::fs::write(model.join("config.json"), "{").unwrap();
    let half = |model: &Path| cut(&model.join(WEIGHTS), 500_000);
    let empty = |model: &Path| cut(&model.join(WEIGHTS), 0);
    let as_it_is = |_: &Path| {};
    let mistakes: [Mistake<'_>; 7] = [
        (&remove(WEIGHTS), &[], "checkpoint", "no safetensors"),
        (&remove("config.json"), &[], "checkpoint", "no config.json"),
        (&damaged, &[], "checkpoint", "config.json"),
        (&half, &[], "checkpoint", WEIGHTS),
        (&empty, &[], "checkpoint", WEIGHTS),
        (
            &as_it_is,
            &["--kv-memory-mib", "1"],
            "KV memory",
            "there are 1.0 MiB",
        ),
        (&as_it_is, &["--top-k", "5"], "rules", "top_k"),
    ];
    let data = demo_data();
    for (change, args, name, part) in mistakes {
        let bench = checkpoint(change);
        let model = ["--engine", "cpu", "--model", "model", "--dataset", &data];
        let run = ["--scenario", "server", "--mode", "performance"];
        let (told, done) = preflight_by(bench.dir.path(), &[&model[..], &run, args].concat());
        let found = wrong(&told);
        let is_there = found
            .iter()
            .any(|(n, found)| n == name && found.contains(part));
        assert!(is_there, "{name}, {part}: {found:?}");
        assert_eq!(done.code(), Some(1));
    }
    // As it is, there is nothing to say but that it is a small one.
    let bench = checkpoint(&as_it_is);
    let args = ["--engine", "cpu", "--model", "model", "--dataset", &data];
    let (told, done) = preflight_by(
        bench.dir.path(),
        &[&args[..], &["--scenario", "server"]].concat(),
    );
    let found = wrong(&told);
    let is_of_its_size = |name: &str| ["rules", "data set"].contains(&name);
    assert!(
        found.iter().all(|(name, _)| is_of_its_size(name)),
        "{found:?}"
    );
    assert!(
        check(&told, "checkpoint").0 && check(&told, "KV memory").0,
        "{}",
        done.stdout
    );
    // Accuracy runs have longer answers.
    let kv = |at: usize| told["runs"][at]["kv_bytes"].as_u64().unwrap();
    assert!(0 < kv(0) && kv(0) <= kv(1), "{told:#}");
}

#[test]
fn servers_are_asked() {
    let data = demo_data();
    let servers = [Kind::Good, Kind::Model("another"), Kind::Context(600)].map(Server::start);
    let [good, other, small] = [0, 1, 2].map(|n| servers[n].url.as_str());
    let run = |urls: &[&str], more: &[&str]| {
        let bench = Bench::with_conf(CONF);
        let mut args = vec![
            "--engine",
            "http",
            "--scenario",
            "server",
            "--mode",
            "performance",
        ];
        args.extend(["--dataset", &data]);
        for url in urls {
            args.extend(["--endpoint", url]);
        }
        args.extend(more);
        preflight_by(bench.dir.path(), &args).0
    };
    let short = ["--max-new-tokens", "16"];
    let told = run(&[good], &short);
    let (ok, found) = check(&told, "servers");
    assert!(ok && found.contains(good), "{found}");
    for (urls, more, part) in [
        (&["http://127.0.0.1:9"][..], &short, "cannot connect"),
        (&[good, other][..], &short, "model"),
        (&[small][..], &["--max-new-tokens", "600"], "600"),
    ] {
        let told = run(urls, more);
        let (ok, found) = check(&told, "servers");
        assert!(!ok && found.contains(part), "{part}: {found}");
    }
}

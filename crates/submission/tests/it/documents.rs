//! What `build` puts under documentation/, and that nothing of a tree says where somebody's files and servers are.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::building::{build_at, runs};

fn walk(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => walk(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn plans_and_verdicts_are_handed_in_without_paths_and_addresses() {
    let tmp = tempfile::tempdir().unwrap();
    runs(tmp.path(), "official", |_, plan, verdict| {
        plan["command"] = serde_json::json!([
            "/home/secret/ossmark",
            "run",
            "--model",
            "/home/secret/gpt-oss-120b/",
            "--endpoint",
            "http://me:secret@secret:30000",
            "--api-key-file=/home/secret/key",
            "--target-qps",
            "12.5"
        ]);
        plan["model"]["path"] = "/home/secret/gpt-oss-120b".into();
        plan["dataset"]["path"] = "secret/perf.parquet".into();
        plan["user_conf"] = serde_json::json!({"path": "~/secret/user.conf", "content": "# of secret\n*.*.target_qps = 12.5\n"});
        plan["max_new_tokens"] = 10240.into();
        verdict["metrics"] =
            serde_json::json!({"servers": ["http://secret:30000"], "tokens_per_second": 7.5});
    });
    build_at(tmp.path(), false).unwrap();
    let tree = tmp.path().join("tree");
    let mut files = Vec::new();
    walk(&tree, &mut files);
    for file in &files {
        let text = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
        assert!(!text.contains("secret"), "{}: {text}", file.display());
    }
    for name in ["run_plan.json", "verdict.json"] {
        assert_eq!(files.iter().filter(|file| file.ends_with(name)).count(), 12);
    }
    let documents = tree.join("closed/Org/documentation/runs");
    assert!(documents.join("README.md").is_file());
    let read = |name: &str| -> Value {
        let file = documents.join("1xH200/Server/performance").join(name);
        serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
    };
    let (plan, verdict) = (read("run_plan.json"), read("verdict.json"));
    assert_eq!(plan["max_new_tokens"], 10240);
    assert_eq!(plan["model"]["path"], "gpt-oss-120b");
    assert_eq!(plan["user_conf"]["content"], "*.*.target_qps = 12.5\n");
    assert_eq!(verdict["verdict"], "valid");
    assert_eq!(verdict["metrics"]["tokens_per_second"], 7.5);
    let readme = tree.join("closed/Org/results/1xH200/gpt-oss-120b/Server/README.md");
    let readme = fs::read_to_string(readme).unwrap();
    assert!(
        readme.contains("ossmark run --model gpt-oss-120b --endpoint <address>"),
        "{readme}"
    );
}

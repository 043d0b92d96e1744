//! The README shows the first example as it is, and counts the unsafe code as it is.
#![allow(clippy::disallowed_methods, reason = "tests open what they made")]

use std::path::Path;

#[test]
fn the_readme_shows_the_example() {
    let readme = include_str!("../README.md");
    let example = include_str!("../examples/null_sut.rs");
    assert!(example.lines().count() <= 30);
    let (_, shown) = readme.split_once("```rust\n").unwrap();
    let (shown, _) = shown.split_once("```\n").unwrap();
    assert_eq!(shown, example);
}

/// Every line outside of comments with the word, the lint's name apart.
#[test]
fn the_readme_counts_the_unsafe_code() {
    let readme = include_str!("../README.md");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.lines().filter(|line| !line.trim().starts_with("//"));
        let count = code.filter(|line| line.contains("unsafe ")).count();
        let row = format!("| `{name}` | {count} |");
        let is_listed = readme.contains(&format!("| `{name}` |"));
        assert!(
            if count > 0 {
                readme.contains(&row)
            } else {
                !is_listed
            },
            "{row}"
        );
    }
}

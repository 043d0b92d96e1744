//! Documents against the command line: every command in them is one, and has the options that it is shown with.

use std::path::{Path, PathBuf};

use super::{commands, options};

/// README.md, docs/ and what lies beside the files that it explains.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<PathBuf> = [
        "README.md",
        "CONTRIBUTING.md",
        "demo/README.md",
        "submission/README.md",
    ]
    .map(|name| root.join(name))
    .to_vec();
    let docs = std::fs::read_dir(root.join("docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    pages.extend(docs.filter(|path| path.extension().is_some_and(|end| end == "md")));
    pages.sort();
    pages
}

/// What a page shows as code: fenced blocks with their continued lines joined, and words between backticks.
fn code(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (n, part) in page.split("```").enumerate() {
        if n % 2 == 1 {
            let block = part.replace("\\\n", " ");
            found.extend(block.lines().map(|line| {
                let line = line.split(" #").next().unwrap_or_default();
                line.trim().to_owned()
            }));
        } else {
            let spans = part.split('`').skip(1).step_by(2);
            found.extend(spans.map(|span| span.replace('\n', " ")));
        }
    }
    found
}

#[test]
fn documents_show_commands_and_options_that_there_are() {
    let known = commands();
    let mut seen = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for line in code(&text) {
            let Some((_, rest)) = line
                .split_once("ossmark ")
                .filter(|(before, _)| before.is_empty() || before.ends_with([' ', '$', '(', '=']))
            else {
                continue;
            };
            // Between quotes stand other programs.
            let rest: String = rest.split('\'').step_by(2).collect();
            let words: Vec<&str> = rest.split_whitespace().collect();
            let two = words.iter().take(2).copied().collect::<Vec<_>>().join(" ");
            let name = [two.as_str(), words.first().copied().unwrap_or_default()]
                .into_iter()
                .find(|name| known.contains_key(*name));
            let Some(name) = name else {
                continue; // a group of commands, or words about the program
            };
            // Behind -- stand the options of `run`.
            let mut command = &known[name];
            for word in words {
                match word.trim_end_matches([',', '.', ')', ']']) {
                    "--" => command = &known["run"],
                    word if word.starts_with("--") || word.starts_with("[--") => {
                        let option = word.trim_start_matches(['[', '-']);
                        let option = option.split(['=', '|']).next().unwrap_or_default();
                        let is_alias = command.get_arguments().any(|arg| {
                            arg.get_all_aliases()
                                .is_some_and(|all| all.contains(&option))
                        });
                        assert!(
                            option == "help" || is_alias || options(command).contains(option),
                            "{}: {} has no --{option}: {line}",
                            page.display(),
                            command.get_name()
                        );
                        seen += 1;
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(seen > 100, "{seen}");
}

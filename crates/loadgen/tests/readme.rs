//! The README shows the first example as it is.

#[test]
fn the_readme_shows_the_example() {
    let readme = include_str!("../README.md");
    let example = include_str!("../examples/null_sut.rs");
    assert!(example.lines().count() <= 30);
    let (_, shown) = readme.split_once("```rust\n").unwrap();
    let (shown, _) = shown.split_once("```\n").unwrap();
    assert_eq!(shown, example);
}

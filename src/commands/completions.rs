//! `ossmark completions` and `ossmark man`: the command line as shells and man(1) want it, from what clap knows of it.

use anyhow::{Context, Result, bail};
use clap::Command;
use clap_complete::Shell;
use ossmark_files::Escaped;

use crate::cli::everywhere;
use crate::exit::Outcome;
use crate::terminal::raw;

const NAME: &str = "ossmark";

pub(crate) fn completions(shell: Shell) -> Result<Outcome> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut everywhere::command(), NAME, &mut text);
    raw(&String::from_utf8(text).context("the completions are no text")?);
    Ok(Outcome::Good)
}

pub(crate) fn man(page: &str) -> Result<Outcome> {
    raw(&render(page)?);
    Ok(Outcome::Good)
}

/// The page in roff; it names those of the commands below.
fn render(page: &str) -> Result<String> {
    // `ossmark help` has no page.
    let mut root = everywhere::command().disable_help_subcommand(true);
    root.build();
    let Some(command) = find(&root, NAME, page) else {
        bail!(
            "no page {}, expected ossmark, or ossmark-run for the page of `ossmark run`",
            Escaped(page)
        );
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(page)
        .render(&mut text)
        .context("cannot make the page")?;
    String::from_utf8(text).context("the page is no text")
}

fn find<'a>(command: &'a Command, name: &str, wanted: &str) -> Option<&'a Command> {
    if name == wanted {
        return Some(command);
    }
    command
        .get_subcommands()
        .find_map(|inner| find(inner, &format!("{name}-{}", inner.get_name()), wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_its_command_takes_and_names_the_others() {
        let root = render("ossmark").unwrap();
        for page in [
            "ossmark\\-run",
            "ossmark\\-endpoints",
            "ossmark\\-completions",
        ] {
            assert!(root.contains(page), "{page}: {root}");
        }
        for hidden in ["confine", "bench\\-loadgen\\-child"] {
            assert!(!root.contains(hidden), "{hidden}");
        }
        let run = render("ossmark-run").unwrap();
        assert!(run.contains("stop\\-hopeless") && !run.contains("\\-\\-drill"));
        assert!(render("ossmark-endpoints-plan").is_ok());
        let error = render("ossmark-\u{1b}[2J").unwrap_err().to_string();
        assert!(
            error.contains("no page") && !error.contains('\u{1b}'),
            "{error}"
        );
    }
}

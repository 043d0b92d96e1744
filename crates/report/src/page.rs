//! The page: one file without a request, without a script, of one run or several side by side.
//!
//! What is shown is decided here and in `page/`, how it looks in `templates/`. The style sheet is named by its hash in the
//! page's Content-Security-Policy, so that a browser would take nothing else even if something had slipped in.

mod curve;
mod panel;
mod peak;
mod power;
mod speculation;
mod spread;
mod stated;
mod table;
mod time;
mod verdict;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::curve::Curve;
use crate::figures::Figures;
use crate::peak::Peak;
use crate::run::Run;
use panel::{Panel, Section};
use table::{Table, plain};

/// The style sheet as it stands in the page.
const STYLE: &str = include_str!("../templates/page.css");

/// A run with its figures, under a letter.
struct Shown<'a> {
    letter: String,
    run: &'a Run,
    figures: &'a Figures,
}

impl Shown<'_> {
    /// The name of a figure: unlike every other on the page.
    fn name(&self, figure: &str) -> String {
        format!("{}.{figure}", self.letter)
    }
}

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    title: String,
    style: &'a str,
    style_hash: String,
    cards: Vec<verdict::Card>,
    overview: Table,
    sections: Vec<Section>,
    version: &'static str,
    footer: &'static str,
}

impl Page<'_> {
    fn new(title: String, sections: Vec<Section>) -> Self {
        Self {
            title,
            style: STYLE,
            style_hash: STANDARD.encode(Sha256::digest(STYLE)),
            cards: Vec::new(),
            overview: Table::default(),
            sections,
            version: env!("CARGO_PKG_VERSION"),
            footer: "",
        }
    }

    fn text(&self) -> String {
        // Into memory, of texts: nothing of it can fail.
        self.render()
            .expect("the template's only errors are those of its writer, a string")
    }
}

/// The page of these runs, with the figures that belong to each.
pub fn page(runs: &[(Run, Figures)]) -> String {
    let shown: Vec<Shown<'_>> = runs
        .iter()
        .enumerate()
        .map(|(i, (run, figures))| Shown {
            letter: letter(i),
            run,
            figures,
        })
        .collect();
    let mut sections = time::sections(&shown);
    sections.extend(spread::sections(&shown));
    sections.extend(stated::sections(&shown));
    sections.retain(|section| section.panels.iter().any(|panel| !panel.is_empty()));
    let page = Page {
        cards: shown.iter().map(verdict::card).collect(),
        overview: verdict::overview(&shown),
        footer: "LoadGen's own VALID is not the verdict.",
        ..Page::new(title(&shown), sections)
    };
    page.text()
}

/// The page of a curve of MLPerf Endpoints.
pub fn curve_page(curve: &Curve) -> String {
    let page = Page {
        cards: vec![curve::card(curve)],
        overview: curve::overview(curve),
        footer: "A submitted curve is measured with MLCommons' own client.",
        ..Page::new(plain(&curve.title), curve::sections(curve))
    };
    page.text()
}

/// The page of a search for the highest load that passes.
pub fn peak_page(peak: &Peak) -> String {
    let page = Page {
        cards: vec![peak::card(peak)],
        overview: peak::overview(peak),
        footer: "A run of official length is submitted as it is, with its user.conf.",
        ..Page::new(plain(&peak.title), peak::sections(peak))
    };
    page.text()
}

fn title(shown: &[Shown<'_>]) -> String {
    match shown {
        [one] => format!("ossmark run {}", plain(&one.figures.summary.dir)),
        several => format!("{} ossmark runs", several.len()),
    }
}

/// A, B, ... Z, AA, AB, ...
fn letter(mut i: usize) -> String {
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(b'A' + (i % 26) as u8));
        match i / 26 {
            0 => break,
            rest => i = rest - 1,
        }
    }
    letters.iter().rev().collect()
}

/// A section with a panel for each run.
fn section<'a>(
    title: &'static str,
    about: impl Into<String>,
    shown: &[Shown<'a>],
    panel: impl Fn(&Shown<'a>, &mut Panel),
) -> Section {
    let panels = shown.iter().map(|one| {
        let mut made = Panel {
            run: match shown.len() {
                1 => String::new(),
                _ => format!("{} {}", one.letter, plain(&one.figures.summary.dir)),
            },
            ..Panel::default()
        };
        panel(one, &mut made);
        made
    });
    Section {
        title,
        about: about.into(),
        panels: panels.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_have_letters() {
        let letters: Vec<String> = [0, 25, 26, 701, 702].map(letter).into();
        assert_eq!(letters, ["A", "Z", "AA", "ZZ", "AAA"]);
    }
}

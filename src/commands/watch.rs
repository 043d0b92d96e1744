//! `ossmark watch`: a run that goes on, from another terminal.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use ossmark_files::Escaped;
use ossmark_watch::{Watched, draw, text, view};

use crate::children;
use crate::cli::WatchArgs;
use crate::exit::{Interrupted, Outcome};
use crate::terminal::screen::{self, Key, Screen};
use crate::terminal::{note, page};

/// Between two looks at the files, which change once or twice a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Between two looks whether somebody wants to end it.
const WAIT: Duration = Duration::from_millis(100);

/// Runs that a message names.
const MOST_NAMED: usize = 10;

static SIGNALLED: AtomicBool = AtomicBool::new(false);

pub(crate) fn watch(args: &WatchArgs) -> Result<Outcome> {
    // Named wrongly it would be waited for in vain.
    if !args.dir.is_dir() {
        bail!(
            "{}: found no directory, expected that of a run, as `ossmark run --output DIR` leaves it",
            Escaped::path(&args.dir)
        );
    }
    let mut watched = Watched::new(&args.dir);
    if !watched.is_run() {
        refuse_runs(&args.dir)?;
    }
    if args.once {
        children::end_at_signal()?;
        return once(watched);
    }
    if !screen::is_terminal() {
        note!("watch: standard output is no terminal: one view is printed, as with --once");
        children::end_at_signal()?;
        return once(watched);
    }
    // Ended by a signal, the terminal must be given back too.
    children::listen_for(|_| SIGNALLED.store(true, Relaxed))?;
    watched.look();
    let mut screen = Screen::open().context(
        "the terminal cannot be taken, expected one that can be drawn on; --once prints one view",
    )?;
    let ended = live(&mut watched, &mut screen);
    drop(screen);
    match ended.context("the terminal cannot be drawn on; --once prints one view")? {
        Key::Quit => Ok(Outcome::Good),
        Key::Interrupt => Err(Interrupted("the run goes on without this view".into()).into()),
    }
}

/// A directory that holds runs never becomes one: it would be waited for in vain.
fn refuse_runs(dir: &Path) -> Result<()> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut runs: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| Watched::new(path).is_run())
        .map(|path| Escaped::path(&path).to_string())
        .take(MOST_NAMED)
        .collect();
    if runs.is_empty() {
        return Ok(());
    }
    runs.sort();
    bail!(
        "{}: found runs in it and no run of its own, expected the directory of one; give one of {}",
        Escaped::path(dir),
        runs.join(", ")
    );
}

fn once(mut watched: Watched) -> Result<Outcome> {
    // What cannot be read at all is said in the view.
    if !watched.is_run() {
        bail!(
            "{}: found no run there, expected a directory with run_plan.json, samples.journal, samples.parquet or LoadGen's \
             logs, as `ossmark run --output DIR` leaves it",
            Escaped::path(watched.dir())
        );
    }
    watched.look();
    page(&text(&view(&watched, None), screen::columns()));
    Ok(match watched.problems().next() {
        Some(_) => Outcome::NotGood,
        None => Outcome::Good,
    })
}

fn live(watched: &mut Watched, screen: &mut Screen) -> std::io::Result<Key> {
    let (mut looked, mut new) = (Instant::now(), Instant::now());
    loop {
        let shown = view(watched, Some(new.elapsed()));
        screen.draw(|frame| draw(&shown, frame))?;
        while looked.elapsed() < LOOK_EVERY {
            if SIGNALLED.load(Relaxed) {
                return Ok(Key::Interrupt);
            }
            match screen.wait(WAIT)? {
                Some(key) => return Ok(key),
                // Of another size it is drawn at once.
                None => screen.draw(|frame| draw(&shown, frame))?,
            }
        }
        looked = Instant::now();
        if watched.look() {
            new = looked;
        }
    }
}

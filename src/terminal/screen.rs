//! A whole terminal for a view that changes: taken, drawn on, and given back however the command ends.

use std::io::{self, IsTerminal, Stdout};
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use ratatui::crossterm::{cursor, execute};
use ratatui::{Frame, Terminal};

use super::handle;

/// Columns of a view where there is no terminal to ask.
const COLUMNS: u16 = 100;
/// Columns of a text likewise.
const TEXT: usize = 80;

/// Whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    handle::stdout().is_terminal()
}

/// Columns of standard output.
pub(crate) fn columns() -> usize {
    let asked = is_terminal().then(size).and_then(Result::ok);
    asked.map_or(COLUMNS, |(columns, _)| columns).into()
}

/// Columns for a text on standard output: as wide as the terminal, but no wider than is read easily.
pub(crate) fn text_columns() -> usize {
    match is_terminal() {
        true => columns().clamp(40, 120),
        false => TEXT,
    }
}

/// Columns for a line on standard output or standard error, which is a terminal.
pub(crate) fn line_columns() -> usize {
    size().map_or(TEXT, |(columns, _)| columns.into())
}

/// What was asked for with the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// q or Esc.
    Quit,
    /// Ctrl-C, which is a key like any other here.
    Interrupt,
}

/// A terminal that is ours until this is dropped.
pub(crate) struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    /// Takes the terminal of standard output.
    ///
    /// # Errors
    ///
    /// It cannot be taken; then it is as it was.
    pub(crate) fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        let opened = execute!(handle::stdout(), EnterAlternateScreen, cursor::Hide)
            .and_then(|()| Terminal::new(CrosstermBackend::new(handle::stdout())));
        if opened.is_err() {
            give_back();
        }
        opened.map(Self)
    }

    /// Draws all of it, in the size that it has now.
    pub(crate) fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(view).map(drop)
    }

    /// Waits for a key, or a change of size, for at most so long.
    pub(crate) fn wait(&self, limit: Duration) -> io::Result<Option<Key>> {
        if !event::poll(limit)? {
            return Ok(None);
        }
        let Event::Key(key) = event::read()? else {
            return Ok(None);
        };
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        Ok(match key.code {
            _ if key.kind == KeyEventKind::Release => None,
            KeyCode::Char('c') if control => Some(Key::Interrupt),
            KeyCode::Char('q' | 'Q') | KeyCode::Esc => Some(Key::Quit),
            _ => None,
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    let _ = execute!(handle::stdout(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

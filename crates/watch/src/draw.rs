//! A view as lines of a width, which are text, or drawn on a terminal.

use ratatui::Frame;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Drawn, Span};
use ratatui::widgets::Paragraph;

use crate::line::Tone;
use crate::view::{View, done};

/// Columns of the labels.
const LABEL: usize = 9;
/// The narrowest that is drawn as such; what is narrower is cut off by the terminal.
const NARROWEST: usize = 20;
/// Columns of the bar at the most.
const BAR: usize = 40;
/// What the last line says where there are keys.
const KEYS: &str = "q ends the view, not the run";

/// The view as lines that are at most so many columns wide.
pub fn lines(view: &View, width: usize) -> Vec<Drawn<'static>> {
    let width = width.max(NARROWEST);
    let mut page = Page {
        width,
        lines: Vec::new(),
    };
    let strong = Style::new().add_modifier(Modifier::BOLD);
    page.wrapped("", &view.dir, strong);
    page.wrapped("", &view.what, Style::new());
    page.wrapped("", &view.state.text, style(view.state.tone));
    if let Some(progress) = &view.progress {
        if let Some(share) = progress.share() {
            page.bar(share);
        }
        page.wrapped("", &done(progress), Style::new());
    }
    page.lines.push(Drawn::default());
    for line in view.faults.iter().chain(&view.lines) {
        let label = match line.label {
            "" => " ",
            label => label,
        };
        page.wrapped(label, &line.text, style(line.tone));
    }
    page.rates(&view.rates);
    page.lines
}

/// The view as text of several lines, without styles.
pub fn text(view: &View, width: usize) -> String {
    let lines = lines(view, width);
    let text = lines
        .iter()
        .map(|line| line.to_string().trim_end().to_owned() + "\n");
    text.collect::<String>().trim_end().to_owned() + "\n"
}

/// Draws the view on all of a terminal; what does not fit is counted in the last line.
pub fn draw(view: &View, frame: &mut Frame<'_>) {
    let area = frame.area();
    let mut lines = lines(view, area.width.into());
    let room = usize::from(area.height).saturating_sub(1);
    let mut last = KEYS.to_owned();
    if lines.len() > room {
        last = format!("{} more lines below; {KEYS}", lines.len() - room);
        lines.truncate(room);
    }
    lines.resize(room, Drawn::default());
    lines.push(Drawn::styled(
        last,
        Style::new().add_modifier(Modifier::DIM),
    ));
    frame.render_widget(Paragraph::new(lines), area);
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Warn => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

struct Page {
    width: usize,
    lines: Vec<Drawn<'static>>,
}

impl Page {
    /// A text cut at blanks, and within words that are too long, behind its label and below where it began.
    fn wrapped(&mut self, label: &'static str, text: &str, style: Style) {
        let indent = if label.is_empty() { 0 } else { LABEL };
        let mut label = label;
        for part in cut(text, self.width - indent) {
            let mut spans = Vec::new();
            if indent > 0 {
                let dim = Style::new().add_modifier(Modifier::DIM);
                spans.push(Span::styled(format!("{label:<LABEL$}"), dim));
            }
            label = "";
            spans.push(Span::styled(part, style));
            self.lines.push(Drawn::from(spans));
        }
    }

    fn bar(&mut self, share: f64) {
        let columns = BAR.min(self.width - 5);
        let full = (share * columns as f64) as usize;
        let bar = format!("{}{}", "█".repeat(full), "░".repeat(columns - full));
        self.lines.push(Drawn::from(format!(
            "{bar} {:>3.0}%",
            (share * 100.0).floor()
        )));
    }

    /// Tokens of the last seconds, as many as there are columns.
    fn rates(&mut self, rates: &[f64]) {
        const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        let columns = (self.width - LABEL).min(60);
        let rates = &rates[rates.len().saturating_sub(columns)..];
        let most = rates.iter().copied().fold(0.0, f64::max);
        if most <= 0.0 || rates.len() < 2 {
            return;
        }
        let height = |rate: &f64| HEIGHTS[((rate / most * 7.0).round() as usize).min(7)];
        let text: String = rates.iter().map(height).collect();
        let spans = [
            Span::styled(
                format!("{:<LABEL$}", "a second"),
                Style::new().add_modifier(Modifier::DIM),
            ),
            Span::raw(text),
        ];
        self.lines.push(Drawn::from_iter(spans));
    }
}

/// Cuts a text into parts that are at most so many columns wide.
fn cut(text: &str, width: usize) -> Vec<String> {
    let wide = |text: &str| Span::raw(text).width();
    let mut parts = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let line = parts.last_mut().expect("there is one");
        if line.is_empty() || wide(line) + 1 + wide(word) <= width {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        } else {
            parts.push(word.to_owned());
        }
        // A word that is wider than a line goes on in the next.
        while wide(parts.last().expect("there is one")) > width {
            let line = parts.pop().expect("there is one");
            let mut at = 0;
            let fits = line.char_indices().take_while(|(start, c)| {
                at = start + c.len_utf8();
                wide(&line[..at]) <= width
            });
            let at = fits
                .last()
                .map_or(line.len(), |(start, c)| start + c.len_utf8());
            let (this, next) = line.split_at(at);
            let next = next.to_owned();
            parts.push(this.to_owned());
            parts.push(next);
            if parts.last().is_some_and(String::is_empty) {
                parts.pop();
                break;
            }
        }
    }
    parts
}

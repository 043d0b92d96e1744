//! The text of a LaTeX tree.
//!
//! Owns: what each node prints. Does not own: the tree. Pure functions; any thread.

use super::{
    parse::{Macro, Node, parse, symbol},
    symbols,
};
use ossmark_python::strip;

/// What became of an expression.
#[derive(Debug)]
pub(crate) struct Converted {
    /// `None` where pylatexenc raises an exception.
    pub(crate) text: Option<String>,
    /// Something was met that this port does not follow.
    pub(crate) beyond: bool,
}

/// pylatexenc raises an exception.
struct Raised;

struct Printer {
    beyond: bool,
}

/// The text of an expression, as the grader prepares and finishes it.
pub(crate) fn to_text(expression: &str) -> Converted {
    let prepared = expression
        .replace("\\tfrac", "\\frac")
        .replace("\\dfrac", "\\frac")
        .replace("\\frac", " \\frac");
    let tree = parse(&prepared);
    let mut printer = Printer {
        beyond: tree.beyond,
    };
    let text = printer.nodes(&tree.nodes, false).ok().map(|text| {
        let text = text
            .replace('√', "sqrt")
            .replace('π', "pi")
            .replace('∞', "inf")
            .replace('∪', "U");
        strip(&text.replace(['·', '×'], "*")).to_owned()
    });
    Converted {
        text: text.filter(|_| !tree.too_deep),
        beyond: printer.beyond,
    }
}

/// The combining character of an accent.
fn accent(name: &str) -> Option<char> {
    Some(match name {
        "^" | "hat" => '\u{302}',
        "`" | "grave" => '\u{300}',
        "'" | "acute" => '\u{301}',
        "\"" | "ddot" => '\u{308}',
        "~" | "tilde" => '\u{303}',
        "=" => '\u{304}',
        "bar" => '\u{305}',
        "." | "dot" => '\u{307}',
        "u" | "breve" => '\u{306}',
        "v" | "check" => '\u{30c}',
        "vec" => '\u{20d7}',
        "not" => '\u{338}',
        "c" => '\u{327}',
        "H" => '\u{30b}',
        "k" => '\u{328}',
        "b" => '\u{331}',
        "d" => '\u{323}',
        "r" => '\u{30a}',
        _ => return None,
    })
}

/// A letter in one of Unicode's mathematical alphabets, most of which lack the letters that Unicode had before.
fn styled(c: char, style: &str) -> char {
    let (upper, lower) = match style {
        "mathbf" => (0x1d400, 0x1d41a),
        "mathit" => (0x1d434, 0x1d44e),
        "mathcal" | "mathscr" => (0x1d49c, 0x1d4b6),
        "mathfrak" => (0x1d504, 0x1d51e),
        "mathbb" => (0x1d538, 0x1d552),
        "mathsf" => (0x1d5a0, 0x1d5ba),
        _ => (0x1d670, 0x1d68a),
    };
    let older = match (style, c) {
        ("mathit", 'h') => 'ℎ',
        ("mathcal" | "mathscr", 'B') => 'ℬ',
        ("mathcal" | "mathscr", 'E') => 'ℰ',
        ("mathcal" | "mathscr", 'F') => 'ℱ',
        ("mathcal" | "mathscr", 'H') => 'ℋ',
        ("mathcal" | "mathscr", 'I') => 'ℐ',
        ("mathcal" | "mathscr", 'L') => 'ℒ',
        ("mathcal" | "mathscr", 'M') => 'ℳ',
        ("mathcal" | "mathscr", 'R') => 'ℛ',
        ("mathcal" | "mathscr", 'e') => 'ℯ',
        ("mathcal" | "mathscr", 'g') => 'ℊ',
        ("mathcal" | "mathscr", 'o') => 'ℴ',
        ("mathfrak", 'C') => 'ℭ',
        ("mathfrak", 'H') => 'ℌ',
        ("mathfrak", 'I') => 'ℑ',
        ("mathfrak", 'R') => 'ℜ',
        ("mathfrak", 'Z') => 'ℨ',
        ("mathbb", 'C') => 'ℂ',
        ("mathbb", 'H') => 'ℍ',
        ("mathbb", 'N') => 'ℕ',
        ("mathbb", 'P') => 'ℙ',
        ("mathbb", 'Q') => 'ℚ',
        ("mathbb", 'R') => 'ℝ',
        ("mathbb", 'Z') => 'ℤ',
        _ => c,
    };
    let code = u32::from(c);
    match c {
        _ if older != c => older,
        'A'..='Z' => char::from_u32(upper + code - u32::from('A')).unwrap_or(c),
        'a'..='z' => char::from_u32(lower + code - u32::from('a')).unwrap_or(c),
        _ => c,
    }
}

impl Printer {
    /// In a formula blanks between constructs go and those after a macro stay; elsewhere it is the other way round.
    fn nodes(&mut self, nodes: &[Node], formula: bool) -> Result<String, Raised> {
        let mut out = String::new();
        let mut previous: Option<&Node> = None;
        for node in nodes {
            if let (
                true,
                Some(Node::Macro(Macro {
                    bare: true,
                    post_space,
                    ..
                })),
                Node::Chars(_),
            ) = (formula, previous, node)
            {
                out += post_space;
            }
            out += &self.node(node, formula)?;
            previous = Some(node);
        }
        Ok(out)
    }

    fn node(&mut self, node: &Node, formula: bool) -> Result<String, Raised> {
        Ok(match node {
            Node::Chars(text) if formula && strip(text).is_empty() => String::new(),
            Node::Chars(text) => text.clone(),
            Node::Group(nodes) => self.nodes(nodes, formula)?,
            Node::Macro(call) => self.macro_call(call, formula)?,
            Node::Environment { name, nodes } => self.environment(name, nodes, formula)?,
            Node::Special(special) => match *special {
                "&" => "   ",
                "~" => "\u{a0}",
                "``" => "“",
                "''" => "”",
                "--" => "–",
                "---" => "—",
                "!`" => "¡",
                _ => "¿",
            }
            .to_owned(),
            Node::Math { display, nodes } => self.formula(nodes, *display)?,
        })
    }

    fn formula(&mut self, nodes: &[Node], block: bool) -> Result<String, Raised> {
        let content = self.nodes(nodes, true)?;
        let content = strip(&content);
        Ok(if block {
            format!("\n    {}\n", content.replace('\n', "\n    "))
        } else {
            content.to_owned()
        })
    }

    fn argument(&mut self, argument: &Option<Node>, formula: bool) -> Result<String, Raised> {
        argument
            .as_ref()
            .map_or(Ok(String::new()), |node| self.node(node, formula))
    }

    fn macro_call(&mut self, call: &Macro, formula: bool) -> Result<String, Raised> {
        let name = call.name.as_str();
        if let Some(template) = symbol(symbols::TEXTS, name) {
            return self.fill(template, call, formula);
        }
        if let Some(mark) = accent(name) {
            // Python composes letter and accent into one character where Unicode has one.
            self.beyond = true;
            let base = self.argument(call.arguments.first().unwrap_or(&None), formula)?;
            let base = if call.arguments.is_empty() {
                " "
            } else {
                strip(&base)
            };
            return Ok(base.chars().flat_map(|c| [c, mark]).collect());
        }
        match name {
            "mathrm" | "emph" | "textrm" | "textit" | "textbf" | "textsc" | "textsl" | "text" => {
                call.arguments
                    .iter()
                    .map(|argument| self.argument(argument, formula))
                    .collect()
            }
            "mathbf" | "mathit" | "mathsf" | "mathbb" | "mathtt" | "mathcal" | "mathscr"
            | "mathfrak" => {
                let text = self.argument(call.arguments.first().unwrap_or(&None), formula)?;
                Ok(text.chars().map(|c| styled(c, name)).collect())
            }
            "today" | "title" | "author" | "date" | "maketitle" | "item" | "href" | "part"
            | "chapter" | "section" | "subsection" | "subsubsection" | "paragraph"
            | "subparagraph" | "includegraphics" | "exercise" | "uebung" | "texorpdfstring" => {
                self.beyond = true;
                Ok(String::new())
            }
            // A macro that pylatexenc does not know prints nothing.
            _ => Ok(String::new()),
        }
    }

    /// Python's `%` operator on a template: too many or too few arguments leave the template as it is, a missing
    /// numbered one raises.
    fn fill(
        &mut self,
        template: &'static str,
        call: &Macro,
        formula: bool,
    ) -> Result<String, Raised> {
        if !template.contains('%') || template.len() == 1 {
            return Ok(template.to_owned());
        }
        let values: Vec<String> = call
            .arguments
            .iter()
            .map(|argument| self.argument(argument, formula))
            .collect::<Result<_, _>>()?;
        if template.contains("%s") {
            let pieces: Vec<&str> = template.split("%s").collect();
            if pieces.len() != values.len() + 1 {
                return Ok(template.to_owned());
            }
            let mut out = pieces[0].to_owned();
            for (value, piece) in values.iter().zip(&pieces[1..]) {
                out += value;
                out += piece;
            }
            return Ok(out);
        }
        let (before, rest) = template.split_once("%(").ok_or(Raised)?;
        let (number, after) = rest.split_once(")s").ok_or(Raised)?;
        let index: usize = number.parse().map_err(|_| Raised)?;
        Ok(format!(
            "{before}{}{after}",
            values.get(index - 1).ok_or(Raised)?
        ))
    }

    fn environment(&mut self, name: &str, nodes: &[Node], formula: bool) -> Result<String, Raised> {
        match name {
            "array" | "pmatrix" | "bmatrix" | "smallmatrix" | "psmallmatrix" | "bsmallmatrix" => {
                self.matrix(nodes, formula)
            }
            "equation" | "equation*" | "eqnarray" | "eqnarray*" | "align" | "multline"
            | "gather" | "align*" | "multline*" | "gather*" | "dmath" | "dmath*" => {
                self.formula(nodes, true)
            }
            "center" | "flushleft" | "flushright" => {
                Ok(format!("\n{}\n", self.nodes(nodes, formula)?))
            }
            _ => self.nodes(nodes, formula),
        }
    }

    /// `[ a b; c d ]`, every cell as wide as the widest. A cell without any node is left out.
    fn matrix(&mut self, nodes: &[Node], formula: bool) -> Result<String, Raised> {
        let mut rows = Vec::new();
        for row in nodes.split(|node| matches!(node, Node::Macro(call) if call.name == "\\")) {
            let mut cells = Vec::new();
            for cell in row
                .split(|node| matches!(node, Node::Special("&")))
                .filter(|cell| !cell.is_empty())
            {
                cells.push(strip(&self.nodes(cell, formula)?).to_owned());
            }
            rows.push(cells);
        }
        let width = rows
            .iter()
            .flatten()
            .map(|cell| cell.chars().count())
            .max()
            .ok_or(Raised)?;
        let lines: Vec<String> = rows
            .iter()
            .map(|row| {
                row.iter()
                    .map(|cell| format!("{cell:>width$}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        Ok(format!("[ {} ]", lines.join("; ")))
    }
}

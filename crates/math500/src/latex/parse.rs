//! The tree that pylatexenc's tolerant parser makes of LaTeX.
//!
//! Owns: that tree and how it is read. Does not own: its text, the tables of macros (`symbols`). Pure functions; any thread.

use super::symbols;
use ossmark_python::{is_alpha, is_space, is_word};

/// Keeps the stack small; Python gives up at about 245 levels, and the grader then keeps the LaTeX.
const MAX_DEPTH: usize = 80;

/// pylatexenc's ligatures and characters with a meaning, longest first.
const SPECIALS: [&str; 8] = ["---", "--", "``", "''", "!`", "?`", "&", "~"];

#[derive(Debug)]
pub(super) enum Node {
    Chars(String),
    Group(Vec<Node>),
    Macro(Macro),
    Environment { name: String, nodes: Vec<Node> },
    Special(&'static str),
    Math { display: bool, nodes: Vec<Node> },
}

#[derive(Debug)]
pub(super) struct Macro {
    pub(super) name: String,
    /// Empty where the arguments could not be read.
    pub(super) arguments: Vec<Option<Node>>,
    /// Took neither an argument nor an optional one.
    pub(super) bare: bool,
    pub(super) post_space: String,
}

#[derive(Debug)]
enum Token {
    Char(String),
    Macro { name: String, post_space: String },
    Open(char),
    Close(char),
    Begin(String),
    End(String),
    Math(String),
    Special(&'static str),
}

struct Placed {
    token: Token,
    /// Blanks before it.
    space: String,
    start: usize,
    end: usize,
}

/// The text ended; the blanks that stood there.
struct EndOfText(String);

/// What ends a list of nodes.
#[derive(PartialEq)]
enum Until {
    Text,
    Brace(char),
    Environment(String),
    Math(&'static str),
}

/// A whole text, read.
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// Nested too deeply: Python raises.
    pub(super) too_deep: bool,
    /// Something was met that this port does not follow.
    pub(super) beyond: bool,
}

/// Reads a text to its end.
pub(super) fn parse(text: &str) -> Tree {
    let mut parser = Parser {
        chars: text.chars().collect(),
        depth: 0,
        beyond: false,
    };
    let (nodes, _) = parser.nodes(0, &Until::Text);
    Tree {
        nodes,
        too_deep: parser.depth != 0,
        beyond: parser.beyond,
    }
}

/// A macro's line of a table.
pub(super) fn symbol(table: &'static [(&str, &str)], name: &str) -> Option<&'static str> {
    table
        .binary_search_by_key(&name, |&(known, _)| known)
        .ok()
        .map(|at| table[at].1)
}

struct Parser {
    chars: Vec<char>,
    depth: usize,
    /// Nested too deeply, or met something that is not followed.
    beyond: bool,
}

impl Parser {
    fn token(
        &self,
        mut at: usize,
        brackets: bool,
        environments: bool,
    ) -> Result<Placed, EndOfText> {
        let mut space = String::new();
        while let Some(&c) = self.chars.get(at).filter(|&&c| is_space(c)) {
            space.push(c);
            at += 1;
            if space.ends_with("\n\n") {
                space.truncate(space.len() - 2);
                return Ok(Placed {
                    token: Token::Char("\n\n".to_owned()),
                    space,
                    start: at - 2,
                    end: at,
                });
            }
        }
        let Some(&c) = self.chars.get(at) else {
            return Err(EndOfText(space));
        };
        let (token, length) = match c {
            '\\' => self.control(at, environments)?,
            '{' => (Token::Open(c), 1),
            '}' => (Token::Close(c), 1),
            '[' if brackets => (Token::Open(c), 1),
            ']' if brackets => (Token::Close(c), 1),
            c => match SPECIALS
                .iter()
                .find(|special| self.starts_with(at, special))
            {
                Some(special) => (Token::Special(special), special.len()),
                None => (Token::Char(c.to_string()), 1),
            },
        };
        Ok(Placed {
            token,
            space,
            start: at,
            end: at + length,
        })
    }

    fn starts_with(&self, at: usize, text: &str) -> bool {
        text.chars()
            .enumerate()
            .all(|(offset, c)| self.chars.get(at + offset) == Some(&c))
    }

    fn control(&self, at: usize, environments: bool) -> Result<(Token, usize), EndOfText> {
        let Some(&first) = self.chars.get(at + 1) else {
            return Err(EndOfText(String::new()));
        };
        let mut name = String::from(first);
        let mut end = at + 2;
        if is_alpha(first) {
            while let Some(&c) = self.chars.get(end).filter(|&&c| is_alpha(c)) {
                name.push(c);
                end += 1;
            }
        }
        if matches!(first, '(' | ')' | '[' | ']') {
            return Ok((Token::Math(name), 2));
        }
        if environments && (name == "begin" || name == "end") {
            return Ok(match self.environment_name(end) {
                Some((environment, end)) if name == "begin" => {
                    (Token::Begin(environment), end - at)
                }
                Some((environment, end)) => (Token::End(environment), end - at),
                None => (Token::Char(format!("\\{name}")), end - at),
            });
        }
        let mut post_space = String::new();
        if is_alpha(first) {
            while let Some(&c) = self.chars.get(end).filter(|&&c| is_space(c)) {
                post_space.push(c);
                end += 1;
                if post_space.ends_with("\n\n") {
                    post_space.truncate(post_space.len() - 2);
                    end -= 2;
                    break;
                }
            }
        }
        Ok((Token::Macro { name, post_space }, end - at))
    }

    /// `^\s*\{([\w* ._-]+)\}`
    fn environment_name(&self, mut at: usize) -> Option<(String, usize)> {
        while self.chars.get(at).is_some_and(|&c| is_space(c)) {
            at += 1;
        }
        let inner = at + 1;
        self.chars.get(at).filter(|&&c| c == '{')?;
        let length = self.chars[inner..]
            .iter()
            .take_while(|&&c| is_word(c) || matches!(c, '*' | ' ' | '.' | '-'))
            .count();
        let closed = length > 0 && self.chars.get(inner + length) == Some(&'}');
        closed.then(|| {
            (
                self.chars[inner..inner + length].iter().collect(),
                inner + length + 1,
            )
        })
    }

    /// Nodes up to what ends the list; the place after it. A mistake is skipped, as the tolerant parser does.
    fn nodes(&mut self, mut at: usize, until: &Until) -> (Vec<Node>, usize) {
        let mut nodes = Vec::new();
        let mut chars = String::new();
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            self.beyond = true;
            return (nodes, self.chars.len());
        }
        loop {
            let placed = match self.token(at, *until == Until::Brace(']'), true) {
                Ok(placed) => placed,
                Err(EndOfText(space)) => {
                    at += space.chars().count();
                    chars += &space;
                    break;
                }
            };
            at = placed.end;
            chars += &placed.space;
            if let Token::Char(text) = &placed.token {
                chars += text;
                continue;
            }
            if !chars.is_empty() {
                nodes.push(Node::Chars(std::mem::take(&mut chars)));
            }
            match placed.token {
                Token::Char(_) => unreachable!("taken above"),
                Token::Close(brace) if *until == Until::Brace(brace) => break,
                Token::End(name) if *until == Until::Environment(name.clone()) => break,
                Token::Math(name) if matches!(until, Until::Math(closing) if *closing == name) => {
                    break;
                }
                Token::Close(_) | Token::End(_) => {}
                Token::Math(name) => {
                    let closing = match name.as_str() {
                        "(" => ")",
                        "[" => "]",
                        _ => continue,
                    };
                    let (inner, end) = self.nodes(at, &Until::Math(closing));
                    nodes.push(Node::Math {
                        display: closing == "]",
                        nodes: inner,
                    });
                    at = end;
                }
                Token::Open(brace) => {
                    let (group, end) = self.group(placed.end, brace);
                    nodes.push(group);
                    at = end;
                }
                Token::Begin(name) => {
                    let (node, end) = self.environment(name, at);
                    nodes.push(node);
                    at = end;
                }
                Token::Macro { name, post_space } => {
                    let (node, end) = self.macro_call(name, post_space, at);
                    nodes.push(node);
                    at = end;
                }
                Token::Special(special) => nodes.push(Node::Special(special)),
            }
        }
        if !chars.is_empty() {
            nodes.push(Node::Chars(chars));
        }
        self.depth -= 1;
        (nodes, at)
    }

    fn group(&mut self, at: usize, open: char) -> (Node, usize) {
        let (nodes, end) = self.nodes(at, &Until::Brace(if open == '{' { '}' } else { ']' }));
        (Node::Group(nodes), end)
    }

    fn environment(&mut self, name: String, at: usize) -> (Node, usize) {
        let specification = match name.as_str() {
            "tabular" | "alignat" | "alignat*" => "{",
            "tabular*" => "{{",
            "tabularx" => "{[{",
            "array" => "[{",
            "figure" | "figure*" | "table" | "table*" | "theorem" | "proposition" | "lemma"
            | "corollary" | "definition" | "conjecture" | "remark" | "proof" | "thm" | "prop"
            | "lem" | "cor" | "conj" | "rem" | "defn" | "enumerate" | "itemize" | "description" => {
                "["
            }
            _ => "",
        };
        self.beyond |= name == "verbatim";
        let start = self
            .arguments(specification, at, false)
            .map_or(at, |(_, end)| end);
        let (nodes, end) = self.nodes(start, &Until::Environment(name.clone()));
        (Node::Environment { name, nodes }, end)
    }

    fn macro_call(&mut self, name: String, post_space: String, at: usize) -> (Node, usize) {
        self.beyond |= name == "verb";
        let specification = symbol(symbols::ARGUMENTS, &name).unwrap_or_default();
        let read = self.arguments(specification, at, name == "\\");
        let (arguments, end) = read.unwrap_or((Vec::new(), at));
        // Stars do not count, nor does an optional argument that is missing where no other follows.
        let counted = specification.trim_start_matches('*');
        let bare = arguments.is_empty()
            || counted.is_empty() && specification.is_empty()
            || counted == "[" && arguments.last().is_some_and(Option::is_none);
        (
            Node::Macro(Macro {
                name,
                arguments,
                bare,
                post_space,
            }),
            end,
        )
    }

    /// `None` where the text ends before the last argument: pylatexenc then takes none at all.
    fn arguments(
        &mut self,
        specification: &str,
        mut at: usize,
        close_optional: bool,
    ) -> Option<(Vec<Option<Node>>, usize)> {
        let mut arguments = Vec::new();
        for kind in specification.chars() {
            let argument = match kind {
                '{' => {
                    let (node, end) = self.expression(at)?;
                    at = end;
                    Some(node)
                }
                '*' => match self.token(at, false, true).ok()? {
                    Placed {
                        token: Token::Char(text),
                        start,
                        ..
                    } if text == "*" => {
                        at = start + 1;
                        Some(Node::Chars(text))
                    }
                    _ => None,
                },
                _ if close_optional && self.chars.get(at).is_some_and(|&c| is_space(c)) => None,
                _ => match self.token(at, true, false) {
                    Ok(Placed {
                        token: Token::Open('['),
                        end,
                        ..
                    }) => {
                        let (node, end) = self.group(end, '[');
                        at = end;
                        Some(node)
                    }
                    _ => None,
                },
            };
            arguments.push(argument);
        }
        Some((arguments, at))
    }

    /// One argument: a group, a macro without its own arguments, or a character.
    fn expression(&mut self, at: usize) -> Option<(Node, usize)> {
        let placed = self.token(at, false, false).ok()?;
        let bare = |name: String| Macro {
            name,
            arguments: Vec::new(),
            bare: true,
            post_space: String::new(),
        };
        Some(match placed.token {
            Token::Macro { name, .. } if name == "end" => {
                (Node::Chars(String::new()), placed.start)
            }
            Token::Macro { name, .. } => (Node::Macro(bare(name)), placed.end),
            Token::Math(name) => (Node::Macro(bare(format!("\\{name}"))), placed.end),
            Token::Special(special) => (Node::Special(special), placed.end),
            Token::Open(brace) => self.group(placed.end, brace),
            Token::Close(_) => (Node::Chars(String::new()), placed.start),
            Token::Char(text) => (Node::Chars(text), placed.end),
            Token::Begin(_) | Token::End(_) => unreachable!("environments are macros here"),
        })
    }
}

//! Text to expression, as sympy's `parse_expr` with implicit multiplication reads it.
//!
//! Owns: Python's tokens, where a multiplication is implied, precedence. Does not own: values. Recursion is bounded by
//! `MAX_DEPTH`. Pure functions; any thread.
//!
//! A name that is not known is a product of its letters: `xy` is x times y, and `xsqrt(2)` is x·s·q·r·t·2, as in sympy.

use num_bigint::BigInt;
use num_rational::Ratio;

use ossmark_python::{digit, is_alpha, is_word};

const MAX_DEPTH: usize = 60;
/// In tokens and letters: a chain of sums or products is as deep as it is long, once it is a tree.
const MAX_SIZE: usize = 250;

/// An expression. Decimals keep the value that Python's float has, where it is one.
#[derive(Debug, Clone)]
pub(super) enum Expression {
    Integer(BigInt),
    Decimal {
        exact: Ratio<BigInt>,
        float: Option<f64>,
    },
    Imaginary,
    Pi,
    Symbol(String),
    Negative(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    Root(Box<Self>),
    Logarithm(Box<Self>),
    Factorial(Box<Self>),
}

impl Expression {
    /// Whether a decimal takes part.
    pub(super) fn has_decimal(&self) -> bool {
        match self {
            Self::Decimal { .. } => true,
            Self::Integer(_) | Self::Imaginary | Self::Pi | Self::Symbol(_) => false,
            Self::Negative(inner)
            | Self::Root(inner)
            | Self::Logarithm(inner)
            | Self::Factorial(inner) => inner.has_decimal(),
            Self::Binary(_, left, right) => left.has_decimal() || right.has_decimal(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

/// Why there is no expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unparsed {
    /// Python or sympy raises an exception.
    Raises,
    /// It may have a value that this port does not find.
    Beyond,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(String),
    Name(String),
    Operator(&'static str),
}

/// What may stand in an expression whose value is a number. Of the rest, these have a meaning in Python that ends in an
/// exception here: relations and tuples cannot be subtracted.
const OPERATORS: [&str; 20] = [
    "**", "//", "==", "!=", "<=", ">=", "<<", ">>", "+", "-", "*", "/", "(", ")", "!", "&", "|",
    "~", "[", ".",
];

/// Names in sympy's or Python's own name space that two letters can spell.
const FOREIGN: [&str; 21] = [
    "oo", "zoo", "nan", "gff", "rf", "ff", "re", "im", "csc", "li", "jn", "yn", "hn1", "hn2",
    "fft", "ntt", "fu", "eye", "all", "id", "frac",
];

pub(super) fn parse(text: &str) -> Result<Expression, Unparsed> {
    let python = text.replace('^', "**");
    let tokens = tokens(&python)?;
    let size = |token: &Token| {
        if let Token::Name(name) = token {
            name.len()
        } else {
            1
        }
    };
    if tokens.iter().map(size).sum::<usize>() > MAX_SIZE {
        return Err(Unparsed::Beyond);
    }
    if tokens.iter().any(|token| {
        matches!(
            token,
            Token::Operator("//" | "==" | "!=" | "<<" | ">>" | "&" | "|" | "~" | "[" | ".")
        )
    }) {
        return Err(Unparsed::Beyond);
    }
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
    };
    let expression = parser.sum()?;
    if parser.at < parser.tokens.len() {
        Err(Unparsed::Raises)
    } else {
        Ok(expression)
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, Unparsed> {
    let mut tokens = Vec::new();
    let mut beyond = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if matches!(c, ' ' | '\t' | '\x0c') {
            c.len_utf8()
        } else if matches!(c, '\r' | '\n') {
            beyond = true;
            1
        } else if let Some(length) = number(rest) {
            tokens.push(Token::Number(rest[..length].to_owned()));
            length
        } else if is_alpha(c) || c == '_' {
            let length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push(Token::Name(rest[..length].to_owned()));
            length
        } else if let Some(operator) = OPERATORS
            .iter()
            .find(|operator| rest.starts_with(**operator))
        {
            tokens.push(Token::Operator(operator));
            operator.len()
        } else {
            return Err(Unparsed::Raises);
        };
        rest = &rest[length..];
    }
    if beyond {
        Err(Unparsed::Beyond)
    } else {
        Ok(tokens)
    }
}

fn digits(text: &[u8]) -> usize {
    let mut length = 0;
    while text.get(length).is_some_and(u8::is_ascii_digit)
        || (length > 0
            && text.get(length) == Some(&b'_')
            && text.get(length + 1).is_some_and(u8::is_ascii_digit))
    {
        length += 1;
    }
    length
}

/// The length of the number at the start, as Python's tokenizer cuts it: `007` is `00` and `7`.
fn number(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let whole = digits(bytes);
    let mut length = whole;
    if bytes.get(whole) == Some(&b'.') {
        let fraction = digits(&bytes[whole + 1..]);
        if whole + fraction == 0 {
            return None;
        }
        length = whole + 1 + fraction;
    } else if whole == 0 {
        return None;
    }
    let mut is_float = length > whole;
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits(&bytes[length + 1 + sign..]);
        if exponent > 0 {
            length += 1 + sign + exponent;
            is_float = true;
        }
    }
    if matches!(bytes.get(length), Some(b'j' | b'J')) {
        return Some(length + 1);
    }
    if !is_float && bytes[0] == b'0' {
        length = text[..whole]
            .find(|c| c != '0' && c != '_')
            .unwrap_or(whole);
        length = text[..length].trim_end_matches('_').len();
    }
    Some(length)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

fn binary(operator: Operator, left: Expression, right: Expression) -> Expression {
    Expression::Binary(operator, Box::new(left), Box::new(right))
}

fn times(left: Expression, right: Expression) -> Expression {
    binary(Operator::Multiply, left, right)
}

impl Parser {
    fn take(&mut self, operator: &str) -> bool {
        let found =
            matches!(self.tokens.get(self.at), Some(Token::Operator(next)) if *next == operator);
        self.at += usize::from(found);
        found
    }

    fn sum(&mut self) -> Result<Expression, Unparsed> {
        self.deeper()?;
        let mut left = self.product()?;
        loop {
            if self.take("+") {
                left = binary(Operator::Add, left, self.product()?);
            } else if self.take("-") {
                left = binary(Operator::Subtract, left, self.product()?);
            } else {
                self.depth -= 1;
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Result<Expression, Unparsed> {
        let mut left = self
            .signed()?
            .into_iter()
            .reduce(times)
            .ok_or(Unparsed::Raises)?;
        loop {
            let operator = if self.take("/") {
                Operator::Divide
            } else if self.take("*")
                || matches!(
                    self.tokens.get(self.at),
                    Some(Token::Number(_) | Token::Name(_) | Token::Operator("("))
                )
            {
                Operator::Multiply
            } else {
                return Ok(left);
            };
            let mut factors = self.signed()?.into_iter();
            let first = factors.next().ok_or(Unparsed::Raises)?;
            left = factors.fold(binary(operator, left, first), times);
        }
    }

    /// Factors, of which the first has a sign. A name of several letters is several factors: `1/xy` is 1/x times y.
    fn signed(&mut self) -> Result<Vec<Expression>, Unparsed> {
        let negative = self.take("-");
        if !negative && !self.take("+") {
            return self.power();
        }
        self.deeper()?;
        let mut factors = self.signed()?;
        self.depth -= 1;
        if negative {
            let first = factors.remove(0);
            factors.insert(0, Expression::Negative(Box::new(first)));
        }
        Ok(factors)
    }

    /// Primaries, the last one with its power: `xy**2` is x and y**2, and `2**xy` is 2**x and y.
    fn power(&mut self) -> Result<Vec<Expression>, Unparsed> {
        let mut factors = self.primary()?;
        if self.take("**") {
            self.deeper()?;
            let mut exponent = self.signed()?.into_iter();
            self.depth -= 1;
            let base = factors.pop().ok_or(Unparsed::Raises)?;
            factors.push(binary(
                Operator::Power,
                base,
                exponent.next().ok_or(Unparsed::Raises)?,
            ));
            factors.extend(exponent);
        }
        Ok(factors)
    }

    fn deeper(&mut self) -> Result<(), Unparsed> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            Err(Unparsed::Beyond)
        } else {
            Ok(())
        }
    }

    fn primary(&mut self) -> Result<Vec<Expression>, Unparsed> {
        let token = self.tokens.get(self.at).cloned().ok_or(Unparsed::Raises)?;
        self.at += 1;
        let factors = match token {
            Token::Number(text) => literal(&text)?,
            Token::Operator("(") => {
                let inner = self.sum()?;
                if !self.take(")") {
                    return Err(Unparsed::Raises);
                }
                vec![inner]
            }
            Token::Name(name) => self.name(&name)?,
            Token::Operator(_) => return Err(Unparsed::Raises),
        };
        let mut marks = 0;
        while self.take("!") {
            marks += 1;
        }
        match marks {
            0 => Ok(factors),
            1 => {
                // The factorial takes the whole name.
                let whole = factors.into_iter().reduce(times).ok_or(Unparsed::Raises)?;
                Ok(vec![Expression::Factorial(Box::new(whole))])
            }
            2 => Err(Unparsed::Beyond),
            _ => Err(Unparsed::Raises),
        }
    }

    fn name(&mut self, name: &str) -> Result<Vec<Expression>, Unparsed> {
        match name {
            "sqrt" | "ln" if self.take("(") => {
                let inner = Box::new(self.sum()?);
                if !self.take(")") {
                    return Err(Unparsed::Raises);
                }
                Ok(vec![if name == "ln" {
                    Expression::Logarithm(inner)
                } else {
                    Expression::Root(inner)
                }])
            }
            "as" | "if" => Err(Unparsed::Raises),
            "pi" => Ok(vec![Expression::Pi]),
            "sqrt" | "ln" | "in" | "is" | "or" => Err(Unparsed::Beyond),
            name if FOREIGN.contains(&name) => Err(Unparsed::Beyond),
            "mu" | "nu" | "xi" => Ok(vec![Expression::Symbol(name.to_owned())]),
            name if name.contains('_') || name.chars().count() == 1 => {
                Ok(vec![Expression::Symbol(name.to_owned())])
            }
            name => split(name),
        }
    }
}

/// The letters and numbers that a name is made of.
fn split(name: &str) -> Result<Vec<Expression>, Unparsed> {
    let mut factors = Vec::new();
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let length = if c.is_ascii_digit() {
            let length = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let text = &rest[..length];
            if text.len() > 1 && text.starts_with('0') && text.bytes().any(|byte| byte != b'0') {
                return Err(Unparsed::Raises);
            }
            factors.extend(literal(text)?);
            length
        } else if digit(c).is_some() {
            return Err(Unparsed::Raises);
        } else if is_alpha(c) {
            factors.push(Expression::Symbol(c.to_string()));
            c.len_utf8()
        } else {
            return Err(Unparsed::Beyond);
        };
        rest = &rest[length..];
    }
    Ok(factors)
}

/// An integer, or a decimal that is one float; a longer one has more than Python's precision.
fn literal(text: &str) -> Result<Vec<Expression>, Unparsed> {
    let text = text.replace('_', "");
    let (text, imaginary) = match text.strip_suffix(['j', 'J']) {
        Some(real) => (real, true),
        None => (text.as_str(), false),
    };
    let value = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Python's compiler refuses longer literals.
        if text.len() > 4300 {
            return Err(Unparsed::Raises);
        }
        Expression::Integer(text.parse().map_err(|_| Unparsed::Raises)?)
    } else {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().map_err(|_| Unparsed::Beyond)?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: BigInt = format!("0{whole}{fraction}")
            .parse()
            .map_err(|_| Unparsed::Raises)?;
        let scale = i32::try_from(fraction.len()).map_err(|_| Unparsed::Beyond)? - exponent;
        if scale.abs() > 400 {
            return Err(Unparsed::Beyond);
        }
        let power = BigInt::from(10).pow(scale.unsigned_abs());
        let exact = if scale < 0 {
            Ratio::from_integer(all * power)
        } else {
            Ratio::new(all, power)
        };
        let significant = format!("{whole}{fraction}").trim_start_matches('0').len();
        Expression::Decimal {
            exact,
            float: text.parse().ok().filter(|_| significant <= 15),
        }
    };
    Ok(if imaginary {
        vec![value, Expression::Imaginary]
    } else {
        vec![value]
    })
}

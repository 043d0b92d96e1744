//! Exact values of expressions: quotients of polynomials.
//!
//! Owns: arithmetic, roots, logarithms and factorials, and whether a value is zero. Does not own: polynomials (`poly`).
//! Pure functions; any thread.

use num_bigint::BigInt;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::expression::{Expression, Operator};
use super::numeric::{from_f64, to_f64};
use super::poly::{Atom, Atoms, Exponent, Monomial, Polynomial, Rational, Stop, power};

/// What exact algebra knows about a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Zero,
    NotZero,
    /// A division by zero, which sympy carries along as an infinity or nan.
    Undefined,
    Unknown,
}

/// Factors are looked for up to this bound, as sympy does it for roots; what is left over may be composite.
const FACTOR_LIMIT: u32 = 1 << 15;
const MAX_POWER: u64 = 200;
const MAX_FACTORIAL: u32 = 1000;

#[derive(Debug, Clone)]
struct Value {
    above: Polynomial,
    below: Polynomial,
    /// A decimal took part: sympy then takes roots and powers of numbers in floating point.
    decimal: bool,
}

pub(super) fn evaluate(expression: &Expression) -> Outcome {
    let mut field = Field {
        atoms: Atoms::new(),
    };
    match field.value(expression) {
        Ok(value) if value.above.is_zero() => Outcome::Zero,
        Ok(_) if field.atoms.independent => Outcome::NotZero,
        Err(Stop::Undefined) => Outcome::Undefined,
        Ok(_) | Err(Stop::TooMuch) => Outcome::Unknown,
    }
}

struct Field {
    atoms: Atoms,
}

impl From<Polynomial> for Value {
    fn from(above: Polynomial) -> Self {
        Self {
            above,
            below: Polynomial::one(),
            decimal: false,
        }
    }
}

impl Value {
    fn constant(&self) -> Option<Rational> {
        self.above
            .as_constant()
            .filter(|_| self.below == Polynomial::one())
    }
}

impl Field {
    fn value(&mut self, expression: &Expression) -> Result<Value, Stop> {
        Ok(match expression {
            Expression::Integer(value) => {
                Polynomial::constant(Rational::from_integer(value.clone())).into()
            }
            Expression::Decimal { exact, .. } => Value {
                decimal: true,
                ..Polynomial::constant(exact.clone()).into()
            },
            Expression::Imaginary => self.atoms.single(Atom::I).into(),
            Expression::Pi => self.atoms.single(Atom::Pi).into(),
            Expression::Symbol(name) => self.atoms.single(Atom::Symbol(name.clone())).into(),
            Expression::Negative(inner) => {
                let value = self.value(inner)?;
                Value {
                    above: value.above.scaled(&-Rational::one()),
                    ..value
                }
            }
            Expression::Root(inner) => {
                let value = self.value(inner)?;
                self.root(&value, Exponent::new(1, 2))?
            }
            Expression::Logarithm(inner) => {
                let value = self.value(inner)?;
                self.logarithm(&value)?.into()
            }
            Expression::Factorial(inner) => {
                let value = self.value(inner)?;
                self.factorial(value)?
            }
            Expression::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                match operator {
                    Operator::Add => self.sum(&left, &right)?,
                    Operator::Subtract => {
                        let negative = Value {
                            above: right.above.scaled(&-Rational::one()),
                            ..right
                        };
                        self.sum(&left, &negative)?
                    }
                    Operator::Multiply => self.product(&left, &right)?,
                    Operator::Divide => {
                        let inverse = self.inverse(&right)?;
                        self.product(&left, &inverse)?
                    }
                    Operator::Power => self.power(&left, &right)?,
                }
            }
        })
    }

    fn sum(&self, left: &Value, right: &Value) -> Result<Value, Stop> {
        let decimal = left.decimal || right.decimal;
        if left.below == right.below {
            return Ok(Value {
                above: left.above.plus(&right.above),
                below: left.below.clone(),
                decimal,
            });
        }
        let above = self
            .atoms
            .product(&left.above, &right.below)?
            .plus(&self.atoms.product(&right.above, &left.below)?);
        Ok(Value {
            above,
            below: self.atoms.product(&left.below, &right.below)?,
            decimal,
        })
    }

    fn product(&self, left: &Value, right: &Value) -> Result<Value, Stop> {
        let above = self.atoms.product(&left.above, &right.above)?;
        self.quotient(
            above,
            self.atoms.product(&left.below, &right.below)?,
            left.decimal || right.decimal,
        )
    }

    fn inverse(&self, value: &Value) -> Result<Value, Stop> {
        if value.above.is_zero() {
            return Err(Stop::Undefined);
        }
        self.quotient(value.below.clone(), value.above.clone(), value.decimal)
    }

    /// A denominator of one term moves up, unless a root of a sum stands in it.
    fn quotient(&self, above: Polynomial, below: Polynomial, decimal: bool) -> Result<Value, Stop> {
        let Some((monomial, coefficient)) = below.as_term() else {
            return Ok(Value {
                above,
                below,
                decimal,
            });
        };
        if monomial
            .keys()
            .any(|&index| matches!(self.atoms.atom(index), Atom::Root(_)))
        {
            return Ok(Value {
                above,
                below,
                decimal,
            });
        }
        let inverse: Monomial = monomial
            .iter()
            .map(|(&index, exponent)| (index, -exponent))
            .collect();
        let inverse = self.atoms.term(&inverse, &coefficient.recip())?;
        Ok(Value {
            decimal,
            ..self.atoms.product(&above, &inverse)?.into()
        })
    }

    /// A power in floating point, of plain numbers.
    fn float_power(base: &Rational, exponent: &Rational) -> Result<Value, Stop> {
        let base = to_f64(base)
            .filter(|base| *base > 0.0)
            .ok_or(Stop::TooMuch)?;
        let value = base.powf(to_f64(exponent).ok_or(Stop::TooMuch)?);
        let exact = from_f64(value).ok_or(Stop::TooMuch)?;
        Ok(Value {
            decimal: true,
            ..Polynomial::constant(exact).into()
        })
    }

    fn power(&mut self, base: &Value, exponent: &Value) -> Result<Value, Stop> {
        let Some(number) = exponent.constant() else {
            return Ok(self.opaque("power", &[base, exponent]));
        };
        if exponent.decimal {
            // A float as an exponent is never the same as the fraction that it stands for.
            return match base.constant() {
                Some(base) => Self::float_power(&base, &number),
                None => Ok(self.opaque("float power", &[base, exponent])),
            };
        }
        if let Some(whole) = number.to_integer().to_i64().filter(|_| number.is_integer()) {
            return self.whole_power(base, whole);
        }
        let exponent = Exponent::new(
            number.numer().to_i64().ok_or(Stop::TooMuch)?,
            number
                .denom()
                .to_i64()
                .filter(|&below| below <= 1000)
                .ok_or(Stop::TooMuch)?,
        );
        self.root(base, exponent)
    }

    fn whole_power(&self, base: &Value, exponent: i64) -> Result<Value, Stop> {
        if let Some(number) = base.constant() {
            return Ok(Polynomial::constant(power(&number, exponent)?).into());
        }
        if exponent.unsigned_abs() > MAX_POWER {
            return Err(Stop::TooMuch);
        }
        let base = if exponent < 0 {
            self.inverse(base)?
        } else {
            base.clone()
        };
        let mut out = Value::from(Polynomial::one());
        for _ in 0..exponent.unsigned_abs() {
            out = self.product(&out, &base)?;
        }
        Ok(out)
    }

    fn opaque(&mut self, kind: &'static str, parts: &[&Value]) -> Value {
        let parts = parts
            .iter()
            .flat_map(|part| [part.above.clone(), part.below.clone()])
            .collect();
        self.atoms.single(Atom::Opaque(kind, parts)).into()
    }

    /// A power whose exponent is no integer: the principal value.
    fn root(&mut self, base: &Value, exponent: Exponent) -> Result<Value, Stop> {
        if base.below != Polynomial::one() {
            return Err(Stop::TooMuch);
        }
        if let Some(number) = base
            .constant()
            .filter(|number| base.decimal && number.is_positive())
        {
            let exponent = Rational::new((*exponent.numer()).into(), (*exponent.denom()).into());
            return Self::float_power(&number, &exponent);
        }
        let base = &base.above;
        if base.is_zero() {
            return if exponent.is_positive() {
                Ok(Polynomial::default().into())
            } else {
                Err(Stop::Undefined)
            };
        }
        // A positive factor may be taken out of a root; a negative or unknown one may not.
        let content = base.content();
        let mut out = self.radical(&content, exponent)?;
        let mut inner = base.scaled(&content.recip());
        if let Some((monomial, sign)) = inner.as_term() {
            let negative = sign.is_negative();
            let (positive, mut rest): (Monomial, Monomial) =
                monomial.clone().into_iter().partition(|&(index, _)| {
                    matches!(
                        self.atoms.atom(index),
                        Atom::Prime(_) | Atom::Pi | Atom::Logarithm(_)
                    )
                });
            let mut roots: Monomial = positive
                .into_iter()
                .map(|(index, power)| (index, power * exponent))
                .collect();
            if let (false, 1, Some((&index, &power))) =
                (negative, rest.len(), rest.first_key_value())
                && matches!(self.atoms.atom(index), Atom::Symbol(_))
                && power > -Exponent::one()
                && power <= Exponent::one()
            {
                // (x^a)^b is x^(ab) for these a, whatever x is.
                roots.insert(index, power * exponent);
                rest.clear();
            }
            if negative && rest.is_empty() && *exponent.denom() == 2 {
                roots.insert(
                    self.atoms.index(Atom::I),
                    Exponent::from_integer(*exponent.numer()),
                );
            }
            let settled = rest.is_empty() && (!negative || *exponent.denom() == 2);
            let factor = self.atoms.term(&roots, &Rational::one())?;
            out = self.product(&out, &factor.into())?;
            if settled {
                return Ok(out);
            }
            inner = Polynomial([(rest, sign.clone())].into());
        }
        let whole = exponent.floor().to_integer();
        let root = self.atoms.index(Atom::Root(inner.clone()));
        let part = [(root, exponent - exponent.floor())].into();
        out = self.product(&out, &self.atoms.term(&part, &Rational::one())?.into())?;
        let whole = self.whole_power(&inner.into(), whole)?;
        self.product(&out, &whole)
    }

    /// A root of a positive number, by its prime factors.
    fn radical(&mut self, number: &Rational, exponent: Exponent) -> Result<Value, Stop> {
        let mut monomial = Monomial::new();
        for (part, sign) in [(number.numer(), 1), (number.denom(), -1)] {
            for (prime, times) in self.factors(part) {
                let index = self.atoms.index(Atom::Prime(prime));
                monomial.insert(index, exponent * Exponent::from_integer(sign * times));
            }
        }
        Ok(self.atoms.term(&monomial, &Rational::one())?.into())
    }

    fn factors(&mut self, number: &BigInt) -> Vec<(BigInt, i64)> {
        let mut left = number.clone();
        let mut factors = Vec::new();
        for candidate in std::iter::once(2).chain((3..FACTOR_LIMIT).step_by(2)) {
            if left.is_one() {
                break;
            }
            let mut times = 0;
            while (&left % candidate).is_zero() {
                left /= candidate;
                times += 1;
            }
            if times > 0 {
                factors.push((candidate.into(), times));
            }
            if left < BigInt::from(u64::from(candidate) * u64::from(candidate)) {
                break;
            }
        }
        if !left.is_one() {
            // Without a factor below its root it is a prime; otherwise it may hide one that another number shares.
            self.atoms.independent &=
                left < BigInt::from(u64::from(FACTOR_LIMIT) * u64::from(FACTOR_LIMIT));
            factors.push((left, 1));
        }
        factors
    }

    /// The logarithm of a positive number or of a product of its roots.
    fn logarithm(&mut self, value: &Value) -> Result<Polynomial, Stop> {
        if value.above.is_zero() {
            return Err(Stop::Undefined);
        }
        let one = value.below == Polynomial::one();
        let (monomial, coefficient) = value.above.as_term().filter(|_| one).ok_or(Stop::TooMuch)?;
        if !coefficient.is_positive() {
            return Err(Stop::TooMuch);
        }
        let mut powers = Vec::new();
        for (&index, &exponent) in monomial {
            let Atom::Prime(prime) = self.atoms.atom(index) else {
                return Err(Stop::TooMuch);
            };
            powers.push((prime.clone(), exponent));
        }
        for (part, sign) in [(coefficient.numer(), 1), (coefficient.denom(), -1)] {
            powers.extend(
                self.factors(part)
                    .into_iter()
                    .map(|(prime, times)| (prime, Exponent::from_integer(sign * times))),
            );
        }
        let mut out = Polynomial::default();
        for (prime, exponent) in powers {
            let times = Rational::new((*exponent.numer()).into(), (*exponent.denom()).into());
            out = out.plus(&self.atoms.single(Atom::Logarithm(prime)).scaled(&times));
        }
        Ok(out)
    }

    fn factorial(&mut self, value: Value) -> Result<Value, Stop> {
        match value.constant() {
            Some(number) if number.is_integer() && number.is_negative() => Err(Stop::Undefined),
            Some(number) if number.is_integer() => {
                let number = number
                    .to_integer()
                    .to_u32()
                    .filter(|&n| n <= MAX_FACTORIAL)
                    .ok_or(Stop::TooMuch)?;
                let product = (1..=number).fold(BigInt::one(), |product, n| product * n);
                Ok(Polynomial::constant(Rational::from_integer(product)).into())
            }
            _ => Ok(self.opaque("factorial", &[&value])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::expression::parse;
    use super::*;

    fn outcome(text: &str) -> Outcome {
        evaluate(&parse(text).expect("an expression"))
    }

    #[test]
    fn identities_are_proved() {
        for text in [
            "x^2+1-(1+x^2)",
            "(x+1)^2-x^2-2x-1",
            "1/(x+1)-1/(x-1)+2/(x^2-1)",
            "sqrt(8)-2sqrt(2)",
            "1/sqrt(2)-sqrt(2)/2",
            "(1+sqrt(5))(1-sqrt(5))+4",
            "sqrt(x)sqrt(x)-x",
            "sqrt(-4)-2sqrt(-1)",
            "sqrt(4x+4)-2sqrt(x+1)",
            "5!-120",
            "ln(8)-3ln(2)",
            "2pi-pi*2",
            "1/sqrt(x+1)-sqrt(x+1)/(x+1)",
        ] {
            assert_eq!(outcome(text), Outcome::Zero, "{text}");
        }
    }

    #[test]
    fn differences_are_proved() {
        for text in [
            "x^2-x",
            "sqrt(2)+sqrt(3)-sqrt(5)",
            "pi-22/7",
            "sqrt(6)-sqrt(2)-1",
            "ln(6)-ln(5)",
        ] {
            assert_eq!(outcome(text), Outcome::NotZero, "{text}");
        }
        assert_eq!(outcome("1/(x-x)"), Outcome::Undefined);
        // True for no branch of the root everywhere, and not shown by these atoms.
        assert_eq!(outcome("sqrt(x^2)-x"), Outcome::Unknown);
        assert_eq!(
            outcome("sqrt(5+2sqrt(6))-sqrt(2)-sqrt(3)"),
            Outcome::Unknown
        );
    }
}

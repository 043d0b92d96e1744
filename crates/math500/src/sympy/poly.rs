//! Polynomials with rational exponents over atoms that exact algebra can tell apart.
//!
//! Owns: atoms, their arithmetic, and how large a polynomial may grow. Does not own: quotients and functions (`algebra`).
//! Plain data; any thread.

use std::collections::BTreeMap;

use num_bigint::BigInt;
use num_integer::Integer;
use num_rational::Ratio;
use num_traits::{One, Pow, Signed, ToPrimitive, Zero};

/// Bounds that no honest answer reaches; beyond them the comparison falls back to floating point.
const MAX_TERMS: usize = 2000;
const MAX_PRODUCTS: usize = 40_000;
const MAX_BITS: u64 = 1 << 17;

pub(super) type Rational = Ratio<BigInt>;
pub(super) type Exponent = Ratio<i64>;

/// Why exact algebra stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A division by zero: sympy's infinity or nan, which no difference of it is zero of.
    Undefined,
    /// Too large, or of a kind that is not covered.
    TooMuch,
}

/// What a polynomial is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Atom {
    /// A prime under a root: its exponent lies between 0 and 1.
    Prime(BigInt),
    Symbol(String),
    Pi,
    /// The imaginary unit: its exponent is 0 or 1.
    I,
    /// The logarithm of a prime.
    Logarithm(BigInt),
    /// A sum or product under a root: its exponent lies between 0 and 1.
    Root(Polynomial),
    /// A power or a factorial that has no other form, by its parts.
    Opaque(&'static str, Vec<Polynomial>),
}

/// Atoms, by their index, with exponents that are not zero.
pub(super) type Monomial = BTreeMap<usize, Exponent>;

/// Terms with coefficients that are not zero.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Polynomial(pub(super) BTreeMap<Monomial, Rational>);

impl Polynomial {
    pub(super) fn constant(value: Rational) -> Self {
        let mut out = Self::default();
        out.add_term(Monomial::new(), value);
        out
    }

    pub(super) fn one() -> Self {
        Self::constant(Rational::one())
    }

    pub(super) fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// Its value if it is a plain number.
    pub(super) fn as_constant(&self) -> Option<Rational> {
        match self.0.len() {
            0 => Some(Rational::zero()),
            1 => self.0.get(&Monomial::new()).cloned(),
            _ => None,
        }
    }

    /// Its only term.
    pub(super) fn as_term(&self) -> Option<(&Monomial, &Rational)> {
        self.0.iter().next().filter(|_| self.0.len() == 1)
    }

    pub(super) fn add_term(&mut self, monomial: Monomial, coefficient: Rational) {
        use std::collections::btree_map::Entry;
        match self.0.entry(monomial) {
            Entry::Vacant(entry) if !coefficient.is_zero() => {
                entry.insert(coefficient);
            }
            Entry::Vacant(_) => {}
            Entry::Occupied(mut entry) => {
                *entry.get_mut() += coefficient;
                if entry.get().is_zero() {
                    entry.remove();
                }
            }
        }
    }

    pub(super) fn scaled(&self, factor: &Rational) -> Self {
        Self(
            self.0
                .iter()
                .map(|(monomial, coefficient)| (monomial.clone(), coefficient * factor))
                .collect(),
        )
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut out = self.clone();
        for (monomial, coefficient) in &other.0 {
            out.add_term(monomial.clone(), coefficient.clone());
        }
        out
    }

    /// The largest positive rational that divides every coefficient.
    pub(super) fn content(&self) -> Rational {
        let (above, below) = self.0.values().fold(
            (BigInt::zero(), BigInt::one()),
            |(above, below), coefficient| {
                (
                    above.gcd(coefficient.numer()),
                    below.lcm(coefficient.denom()),
                )
            },
        );
        if above.is_zero() {
            Rational::one()
        } else {
            Rational::new(above, below)
        }
    }

    fn bounded(self) -> Result<Self, Stop> {
        let small =
            |value: &Rational| value.numer().bits() <= MAX_BITS && value.denom().bits() <= MAX_BITS;
        if self.0.len() <= MAX_TERMS && self.0.values().all(small) {
            Ok(self)
        } else {
            Err(Stop::TooMuch)
        }
    }
}

/// The atoms that occur in one comparison.
#[derive(Debug)]
pub(super) struct Atoms {
    atoms: Vec<Atom>,
    /// All of them are known to be independent, so that a polynomial that is not empty is not zero: roots of primes,
    /// the imaginary unit, unknowns, pi and logarithms of primes.
    pub(super) independent: bool,
}

impl Atoms {
    pub(super) fn new() -> Self {
        Self {
            atoms: Vec::new(),
            independent: true,
        }
    }

    pub(super) fn atom(&self, index: usize) -> &Atom {
        &self.atoms[index]
    }

    pub(super) fn index(&mut self, atom: Atom) -> usize {
        self.independent &= !matches!(atom, Atom::Root(_) | Atom::Opaque(..));
        self.atoms
            .iter()
            .position(|known| *known == atom)
            .unwrap_or_else(|| {
                self.atoms.push(atom);
                self.atoms.len() - 1
            })
    }

    pub(super) fn single(&mut self, atom: Atom) -> Polynomial {
        let index = self.index(atom);
        Polynomial([([(index, Exponent::one())].into(), Rational::one())].into())
    }

    /// A term in normal form: whole powers of primes and of the imaginary unit move into the coefficient, those of roots
    /// are multiplied out.
    pub(super) fn term(
        &self,
        monomial: &Monomial,
        coefficient: &Rational,
    ) -> Result<Polynomial, Stop> {
        let mut coefficient = coefficient.clone();
        let mut kept = Monomial::new();
        let mut bases = Vec::new();
        for (&index, &exponent) in monomial {
            let whole = exponent.floor().to_integer();
            let part = exponent - exponent.floor();
            let left = match &self.atoms[index] {
                Atom::Prime(prime) => {
                    coefficient *= power(&Rational::from_integer(prime.clone()), whole)?;
                    part
                }
                Atom::I => {
                    if whole.rem_euclid(4) >= 2 {
                        coefficient = -coefficient;
                    }
                    Exponent::from_integer(whole.rem_euclid(2))
                }
                Atom::Root(base) => {
                    if whole < 0 {
                        return Err(Stop::TooMuch);
                    }
                    bases.push((base, whole));
                    part
                }
                _ => exponent,
            };
            if !left.is_zero() {
                kept.insert(index, left);
            }
        }
        let mut out = Polynomial([(kept, coefficient)].into());
        for (base, times) in bases {
            for _ in 0..times {
                out = self.product(&out, base)?;
            }
        }
        Ok(out)
    }

    pub(super) fn product(
        &self,
        left: &Polynomial,
        right: &Polynomial,
    ) -> Result<Polynomial, Stop> {
        if left.0.len() * right.0.len() > MAX_PRODUCTS {
            return Err(Stop::TooMuch);
        }
        let mut out = Polynomial::default();
        for (a, x) in &left.0 {
            for (b, y) in &right.0 {
                let mut monomial = a.clone();
                for (&index, exponent) in b {
                    *monomial.entry(index).or_insert_with(Exponent::zero) += exponent;
                }
                monomial.retain(|_, exponent| !exponent.is_zero());
                for (monomial, coefficient) in self.term(&monomial, &(x * y))?.0 {
                    out.add_term(monomial, coefficient);
                }
            }
        }
        out.bounded()
    }
}

/// A whole power of a rational number.
pub(super) fn power(base: &Rational, exponent: i64) -> Result<Rational, Stop> {
    if base.is_zero() && exponent < 0 {
        return Err(Stop::Undefined);
    }
    let bits = base.numer().bits().max(base.denom().bits());
    // Powers of one stay small; any other base grows by at least its bits less one.
    if bits > 1 && bits.saturating_mul(exponent.unsigned_abs()) > MAX_BITS {
        return Err(Stop::TooMuch);
    }
    let odd = exponent.rem_euclid(2) == 1;
    if base.numer().abs().is_one() && base.denom().is_one() {
        return Ok(if odd { base.clone() } else { Rational::one() });
    }
    Ok(Pow::pow(base, exponent.to_i32().ok_or(Stop::TooMuch)?))
}

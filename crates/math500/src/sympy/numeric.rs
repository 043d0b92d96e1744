//! Floating point: what Python's numbers would give, and whether a difference is far from zero.
//!
//! Owns: both. Does not own: exact algebra. Pure functions; any thread.

use num_bigint::BigInt;
use num_complex::Complex64;
use num_rational::Ratio;
use num_traits::{Float as _, One, Pow, Signed, ToPrimitive, Zero};

use super::expression::{Expression, Operator};

/// A number as sympy keeps it: exact, or a float of 53 bits once a decimal took part.
enum Number {
    Exact(Ratio<BigInt>),
    Float(f64),
}

/// Exact powers beyond this many bits are left to the algebra, which has its own bound.
const MAX_BITS: u64 = 1 << 16;

/// The nearest float.
pub(super) fn to_f64(value: &Ratio<BigInt>) -> Option<f64> {
    // Scaled so that the quotient has 64 bits and a sticky bit: correctly rounded.
    let (above, below) = (value.numer().magnitude(), value.denom().magnitude());
    let shift = below.bits() as i64 - above.bits() as i64 + 65;
    let (above, below) = match u64::try_from(shift) {
        Ok(shift) => (above << shift, below.clone()),
        Err(_) => (above.clone(), below << shift.unsigned_abs()),
    };
    let quotient = &above / &below;
    let sticky = u128::from(&quotient * &below != above);
    let bits = (quotient.to_u128()? << 1) | sticky;
    let scaled = bits as f64 * 2f64.powi(i32::try_from(-shift - 1).ok()?);
    let signed = if value.numer().is_negative() {
        -scaled
    } else {
        scaled
    };
    (signed.is_finite() && (signed != 0.0 || value.is_zero())).then_some(signed)
}

/// The value of a float.
pub(super) fn from_f64(value: f64) -> Option<Ratio<BigInt>> {
    let (mantissa, exponent, sign) = value.is_finite().then(|| value.integer_decode())?;
    let mantissa = BigInt::from(mantissa) * sign;
    let power = BigInt::one() << exponent.unsigned_abs();
    Some(if exponent < 0 {
        Ratio::new(mantissa, power)
    } else {
        Ratio::from_integer(mantissa * power)
    })
}

impl Number {
    fn float(&self) -> Option<f64> {
        match self {
            Self::Exact(value) => to_f64(value),
            Self::Float(value) => Some(*value),
        }
    }
}

/// Whether a difference of plain numbers is zero in sympy, where a decimal takes part: floats are added, multiplied and
/// divided in the order in which they stand. `None` for anything else.
pub(super) fn as_python_would(expression: &Expression) -> Option<bool> {
    match number(expression)? {
        Number::Float(value) => Some(value == 0.0),
        Number::Exact(_) => None,
    }
}

fn number(expression: &Expression) -> Option<Number> {
    Some(match expression {
        Expression::Integer(value) => Number::Exact(Ratio::from_integer(value.clone())),
        Expression::Decimal { float, .. } => Number::Float((*float)?),
        Expression::Negative(inner) => match number(inner)? {
            Number::Exact(value) => Number::Exact(-value),
            Number::Float(value) => Number::Float(-value),
        },
        Expression::Binary(operator, left, right) => {
            let value = combine(*operator, number(left)?, number(right)?)?;
            match value {
                Number::Float(float) if !float.is_finite() => return None,
                Number::Exact(exact)
                    if exact.numer().bits().max(exact.denom().bits()) > MAX_BITS =>
                {
                    return None;
                }
                value => value,
            }
        }
        _ => return None,
    })
}

fn combine(operator: Operator, left: Number, right: Number) -> Option<Number> {
    use Number::{Exact, Float};
    Some(match (operator, left, right) {
        (Operator::Add, Exact(a), Exact(b)) => Exact(a + b),
        (Operator::Subtract, Exact(a), Exact(b)) => Exact(a - b),
        (Operator::Multiply, Exact(a), Exact(b)) => Exact(a * b),
        (Operator::Divide, Exact(a), Exact(b)) if !b.is_zero() => Exact(a / b),
        (Operator::Power, base, Exact(exponent)) if exponent.is_integer() => {
            let exponent = exponent
                .to_integer()
                .to_i32()
                .filter(|exponent| exponent.abs() <= 64)?;
            match base {
                Exact(base) if base.is_zero() && exponent < 0 => return None,
                Exact(base) => Exact(Pow::pow(base, exponent)),
                Float(0.0) => return None,
                Float(base) => Float(to_f64(&Pow::pow(from_f64(base)?, exponent))?),
            }
        }
        (Operator::Power, base, Float(exponent)) => {
            Float(base.float().filter(|&base| base > 0.0)?.powf(exponent))
        }
        (Operator::Divide, Exact(a), Float(b)) => Float(to_f64(&a)? * (1.0 / b)),
        (Operator::Add, a, b) => Float(a.float()? + b.float()?),
        (Operator::Subtract, a, b) => Float(a.float()? - b.float()?),
        (Operator::Multiply, a, b) => Float(a.float()? * b.float()?),
        (Operator::Divide, a, b) => Float(a.float()? / b.float()?),
        (Operator::Power, ..) => return None,
    })
}

/// Relative to the largest intermediate value: far more than rounding can make, far less than any honest difference.
const FAR: f64 = 1e-9;

/// Whether the expression is clearly not zero at one of some generic complex points; `None` where it has no value there.
pub(super) fn far_from_zero(expression: &Expression) -> Option<bool> {
    for point in [Point::Left, Point::Negative, Point::Below] {
        let mut largest = 1e-300;
        let value = complex(expression, point, &mut largest)?;
        if value.norm() > FAR * largest {
            return Some(true);
        }
    }
    Some(false)
}

/// Where the unknowns are. The negative axis is where `sqrt(1/x)` and `1/sqrt(x)` part, the left half where `sqrt(x**2)` and x
/// do; an identity that fails in either place is none for sympy.
#[derive(Clone, Copy)]
enum Point {
    Left,
    Negative,
    Below,
}

impl Point {
    fn of(self, name: &str) -> Complex64 {
        let key = name.bytes().fold(0.37, |key, byte| {
            (key * 31.7 + f64::from(byte) * 0.618) % 1.0
        });
        match self {
            Self::Left => Complex64::from_polar(0.6 + key, 2.0 + key),
            Self::Negative => Complex64::from(-0.6 - key),
            Self::Below => Complex64::from_polar(0.8 + key, -2.9 + key),
        }
    }
}

fn complex(expression: &Expression, point: Point, largest: &mut f64) -> Option<Complex64> {
    let value = match expression {
        Expression::Integer(value) => Complex64::from(value.to_f64()?),
        Expression::Decimal { exact, .. } => Complex64::from(to_f64(exact)?),
        Expression::Imaginary => Complex64::I,
        Expression::Pi => Complex64::from(std::f64::consts::PI),
        Expression::Symbol(name) => point.of(name),
        Expression::Negative(inner) => -complex(inner, point, largest)?,
        Expression::Root(inner) => complex(inner, point, largest)?.sqrt(),
        Expression::Logarithm(inner) => complex(inner, point, largest)?.ln(),
        Expression::Factorial(inner) => {
            let argument = complex(inner, point, largest)?;
            let n = argument
                .re
                .to_u32()
                .filter(|&n| n <= 170 && argument == Complex64::from(f64::from(n)))?;
            Complex64::from((1..=n).map(f64::from).product::<f64>())
        }
        Expression::Binary(operator, left, right) => {
            let (left, right) = (
                complex(left, point, largest)?,
                complex(right, point, largest)?,
            );
            match operator {
                Operator::Add => left + right,
                Operator::Subtract => left - right,
                Operator::Multiply => left * right,
                Operator::Divide => left / right,
                Operator::Power if right.is_one() => left,
                Operator::Power
                    if right.im == 0.0 && right.re.fract() == 0.0 && right.re.abs() < 1e6 =>
                {
                    left.powi(right.re as i32)
                }
                Operator::Power => left.powc(right),
            }
        }
    };
    // A negative zero would put a point of the negative axis on the other side of the cut.
    let value = Complex64::new(value.re, value.im + 0.0);
    *largest = largest.max(value.norm());
    value.is_finite().then_some(value)
}

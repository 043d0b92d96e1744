//! What a verdict rests on where that is less than a proof. Plain data.

/// Why an auditor should look at a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Both expressions agree numerically; neither equality nor inequality was proved. Counted as equal.
    NumericallyEqual,
    /// An expression is outside what this port covers. Counted as unequal.
    BeyondPort,
}

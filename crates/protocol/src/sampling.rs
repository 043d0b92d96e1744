//! How tokens are chosen.

use crate::RequestError;

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f32,
    /// Keep the smallest set of tokens whose probability reaches this; 1 keeps all.
    pub top_p: f32,
    /// Keep this many most probable tokens; 0 keeps all.
    pub top_k: u32,
}

impl Sampling {
    /// The most probable token, the lowest id of equals.
    pub const GREEDY: Self = Self {
        temperature: 0.0,
        top_p: 1.0,
        top_k: 0,
    };

    /// Whether the parameters make sense: a temperature that is finite and not negative, 0 < top_p <= 1.
    ///
    /// # Errors
    /// [`RequestError::Sampling`].
    pub fn check(&self) -> Result<(), RequestError> {
        let Sampling {
            temperature, top_p, ..
        } = *self;
        if !(temperature.is_finite() && temperature >= 0.0) {
            let expected = "a finite number of at least 0 (0 is greedy)";
            return Err(RequestError::Sampling {
                name: "temperature",
                value: temperature,
                expected,
            });
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            let expected = "more than 0 and at most 1 (1 keeps all tokens)";
            return Err(RequestError::Sampling {
                name: "top_p",
                value: top_p,
                expected,
            });
        }
        Ok(())
    }
}

//! The secret that a server may ask its clients for.

use axum::http::{HeaderMap, HeaderValue, header};
use subtle::ConstantTimeEq;

use crate::error::ServeError;

/// A secret that clients send as `Authorization: Bearer …`.
#[derive(Clone)]
pub struct ApiKey(Vec<u8>);

/// Short keys can be guessed.
const MIN_KEY_LEN: usize = 16;

impl ApiKey {
    /// Takes a key; surrounding white space, such as a file's last line end, does not belong to it.
    ///
    /// # Errors
    /// When it is too short or holds what a header cannot; `place` says where it came from.
    pub fn new(key: &str, place: &str) -> Result<Self, ServeError> {
        let key = key.trim();
        if key.len() < MIN_KEY_LEN || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ServeError::WeakKey {
                place: place.into(),
                found: key.len(),
                expected: MIN_KEY_LEN,
            });
        }
        Ok(Self(key.into()))
    }

    pub(crate) fn authorizes(&self, headers: &HeaderMap) -> bool {
        let sent = headers
            .get(header::AUTHORIZATION)
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        let Some((scheme, key)) = sent.split_at_checked("Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(self.0.ct_eq(key))
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

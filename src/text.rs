//! Text and token ids, by the model's own tokenizer.json. Needed only where text is: runs work on ids.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use ossmark_engine::types::TokenId;

/// A loaded tokenizer.json.
pub(crate) struct Tokenizer(tokenizers::Tokenizer);

impl Tokenizer {
    /// Loads a tokenizer.json, or the one in a model directory.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let file = if path.is_dir() {
            path.join("tokenizer.json")
        } else {
            path.to_owned()
        };
        // Read first: the tokenizers crate does not say which file it could not open.
        let bytes = std::fs::read(&file)
            .with_context(|| format!("{}: cannot read the tokenizer", file.display()))?;
        let tokenizer = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|e| anyhow!("{}: not a Hugging Face tokenizer.json: {e}", file.display()))?;
        Ok(Self(tokenizer))
    }

    /// Ids of Harmony text; control tokens such as `<|start|>` are parsed. Only for text that is trusted to hold them.
    pub(crate) fn encode_harmony(&self, text: &str) -> Result<Vec<TokenId>> {
        let encoding = self
            .0
            .encode_fast(text, false)
            .map_err(|e| anyhow!("cannot tokenise the prompt: {e}"))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of ids, control tokens included, as the reference scorer decodes.
    pub(crate) fn decode(&self, ids: &[TokenId]) -> Result<String> {
        self.0
            .decode(ids, false)
            .map_err(|e| anyhow!("cannot decode {} token(s): {e}", ids.len()))
    }
}

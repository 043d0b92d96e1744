//! What a head needs from its safetensors, under any of the names that are in use.

use std::collections::BTreeMap;
use std::path::Path;

use ossmark_files::Brief;
use sha2::{Digest, Sha256};

use super::config::HeadConfig;
use crate::load_error::LoadError;
use crate::weights::{Checkpoint, DenseTensor, LinearSource};
use ossmark_protocol::TokenId;

/// Tensors that say nothing that is not elsewhere: `t2d` marks the target's tokens that `d2t` reaches.
const IGNORED: [&str; 1] = ["t2d"];

/// All tensors of a head.
pub(crate) struct HeadSources {
    /// None: the target's.
    pub(super) embedding: Option<LinearSource>,
    pub(super) input_norm: Option<DenseTensor>,
    pub(super) fc: LinearSource,
    pub(super) input_layernorm: DenseTensor,
    pub(super) hidden_norm: DenseTensor,
    pub(super) qkv: LinearSource,
    pub(super) out: LinearSource,
    pub(super) post_attention_layernorm: DenseTensor,
    /// Rows of gate, then rows of up.
    pub(super) gate_up: LinearSource,
    pub(super) down: LinearSource,
    pub(super) norm: DenseTensor,
    /// None: the target's.
    pub(super) lm_head: Option<LinearSource>,
    /// The target's token for each of the head's; none where they are the same.
    pub(super) tokens: Option<Vec<TokenId>>,
}

impl HeadSources {
    /// Finds and checks every tensor.
    ///
    /// # Errors
    /// A tensor is missing, there under two names, of another type or shape than the configuration asks for, or one that this
    /// engine does not know.
    pub(crate) fn find(ckpt: &Checkpoint, c: &HeadConfig) -> Result<Self, LoadError> {
        let mut names = Names::of(ckpt)?;
        let (hidden, q, kv) = (c.hidden, c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let features = c.boundaries.len() * hidden;
        let embedding = names.optional("embed_tokens.weight", [c.vocab_size, hidden])?;
        let lm_head = names.optional("lm_head.weight", [c.draft_vocab_size, hidden])?;
        let tokens = names.tokens(c, lm_head.is_some())?;
        let sources = Self {
            embedding,
            input_norm: match c.norm_before_fc {
                true => Some(names.vector("input_norm.weight", features)?),
                false => None,
            },
            fc: names.matrices(&[("fc", hidden)], features)?,
            input_layernorm: names.vector("input_layernorm.weight", hidden)?,
            hidden_norm: names.vector("hidden_norm.weight", hidden)?,
            qkv: names.matrices(
                &[
                    ("self_attn.q_proj", q),
                    ("self_attn.k_proj", kv),
                    ("self_attn.v_proj", kv),
                ],
                2 * hidden,
            )?,
            out: names.matrices(&[("self_attn.o_proj", hidden)], q)?,
            post_attention_layernorm: names.vector("post_attention_layernorm.weight", hidden)?,
            gate_up: names.matrices(
                &[
                    ("mlp.gate_proj", c.intermediate),
                    ("mlp.up_proj", c.intermediate),
                ],
                hidden,
            )?,
            down: names.matrices(&[("mlp.down_proj", hidden)], c.intermediate)?,
            norm: names.vector("norm.weight", hidden)?,
            lm_head,
            tokens,
        };
        names.nothing_left()?;
        Ok(sources)
    }
}

/// The checkpoint's tensors by the names that they would have without prefixes.
struct Names<'a> {
    ckpt: &'a Checkpoint,
    left: BTreeMap<&'a str, &'a str>,
}

/// SHA-256 of all tensors of the head in this folder, in hexadecimal: of each its name without prefixes, its type and
/// shape, and its bytes, in the order of the names. Files that spell or split the same tensors otherwise have the same.
///
/// # Errors
/// No head there, or one that is damaged.
pub fn tensors_sha256(dir: &Path) -> Result<String, LoadError> {
    let ckpt = Checkpoint::open(dir)?;
    let names = Names::of(&ckpt)?;
    let mut all = Sha256::new();
    for (bare, name) in &names.left {
        let (kind, bytes) = ckpt.stored(name)?;
        all.update(format!("{bare} {kind} {}\n", bytes.len()));
        all.update(bytes);
    }
    Ok(all.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// `midlayer.` or `layers.0.` before what belongs to the layer, and `model.` before all, as exporters like it.
fn bare(name: &str) -> &str {
    let name = name.strip_prefix("model.").unwrap_or(name);
    let of_layer = name.strip_prefix("midlayer.");
    of_layer.or(name.strip_prefix("layers.0.")).unwrap_or(name)
}

impl<'a> Names<'a> {
    fn of(ckpt: &'a Checkpoint) -> Result<Self, LoadError> {
        let mut left = BTreeMap::new();
        for name in ckpt.names() {
            if let Some(other) = left.insert(bare(name), name) {
                return Err(LoadError::Damaged {
                    path: ckpt.dir().into(),
                    what: format!(
                        "holds {} and {}, which are two names of one tensor",
                        Brief(other),
                        Brief(name)
                    ),
                });
            }
        }
        Ok(Self { ckpt, left })
    }

    /// As the file names it; as the head that MLPerf allows does where it is not there.
    fn take(&mut self, bare: &str) -> String {
        let of_layer = [
            "mlp.",
            "self_attn.",
            "hidden_norm",
            "input_layernorm",
            "post_",
        ];
        match self.left.remove(bare) {
            Some(name) => name.into(),
            None if of_layer.iter().any(|start| bare.starts_with(start)) => {
                format!("midlayer.{bare}")
            }
            None => bare.into(),
        }
    }

    fn vector(&mut self, bare: &str, len: usize) -> Result<DenseTensor, LoadError> {
        let name = self.take(bare);
        self.ckpt.dense(&name, &[len])
    }

    fn matrices(
        &mut self,
        parts: &[(&str, usize)],
        cols: usize,
    ) -> Result<LinearSource, LoadError> {
        let part = |(bare, rows): &(&str, usize)| {
            let name = self.take(&format!("{bare}.weight"));
            self.ckpt.dense(&name, &[*rows, cols])
        };
        Ok(LinearSource {
            weight: parts.iter().map(part).collect::<Result<_, _>>()?,
            bias: Vec::new(),
        })
    }

    fn optional(
        &mut self,
        bare: &str,
        shape: [usize; 2],
    ) -> Result<Option<LinearSource>, LoadError> {
        let Some(name) = self.left.remove(bare) else {
            return Ok(None);
        };
        Ok(Some(LinearSource {
            weight: vec![self.ckpt.dense(name, &shape)?],
            bias: Vec::new(),
        }))
    }

    /// `d2t` as the target's tokens: it holds what is to be added to each of the head's.
    fn tokens(
        &mut self,
        c: &HeadConfig,
        has_lm_head: bool,
    ) -> Result<Option<Vec<TokenId>>, LoadError> {
        let missing = |name: &str, hint| LoadError::MissingTensor {
            path: self.ckpt.dir().into(),
            name: name.into(),
            hint,
        };
        let reduced = c.draft_vocab_size < c.vocab_size;
        if !self.left.contains_key("d2t") && !reduced {
            return Ok(None);
        }
        if !has_lm_head {
            let hint = "; a vocabulary of its own (draft_vocab_size, d2t) needs one";
            return Err(missing("lm_head.weight", hint));
        }
        let Some(name) = self.left.remove("d2t") else {
            let hint = "; draft_vocab_size below vocab_size needs it";
            return Err(missing("d2t", hint));
        };
        let offsets = self.ckpt.whole_numbers(name, c.draft_vocab_size)?;
        let target = |(id, offset): (i64, &i64)| {
            let token = id.checked_add(*offset).map(TokenId::try_from);
            match token {
                Some(Ok(token)) if (token as usize) < c.vocab_size => Ok(token),
                _ => Err(LoadError::Damaged {
                    path: self.ckpt.dir().into(),
                    what: format!(
                        "tensor d2t has {offset} for draft token {id}, expected an offset to a token below {}",
                        c.vocab_size
                    ),
                }),
            }
        };
        let tokens = (0..).zip(&offsets).map(target).collect::<Result<_, _>>()?;
        Ok(Some(tokens))
    }

    fn nothing_left(mut self) -> Result<(), LoadError> {
        for name in IGNORED {
            self.left.remove(name);
        }
        match self.left.values().next() {
            None => Ok(()),
            Some(name) => Err(LoadError::Damaged {
                path: self.ckpt.dir().into(),
                what: format!(
                    "holds tensor {}, which this engine does not know: what the head computes would be something else",
                    Brief(name)
                ),
            }),
        }
    }
}

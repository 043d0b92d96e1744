//! A head's `config.json`: every key is computed as it says, is known to change nothing, or is refused by name.

use std::fmt::Display;
use std::path::Path;

use ossmark_files::Brief;
use serde_json::{Map, Value};

use super::json::Json;
use crate::config::{LayerKind, ModelConfig};
use crate::load_error::LoadError;
use crate::rope::{Llama3, Rope};

/// A configuration is a few kilobytes; whatever is larger is something else.
const MAX_JSON_BYTES: u64 = 16 << 20;
/// Bounds every width, as for models.
const MAX_WIDTH: u64 = 1 << 20;
/// Heads in use take three hidden states.
const MAX_FEATURES: usize = 16;

/// What the layer ids of a configuration mean. Two conventions are in use, and a configuration does not say which is its
/// own: ModelOpt's training hook and TensorRT-LLM count blocks, vLLM and newer SGLang boundaries (sglang #25454, #32334;
/// vllm #43671). Speed and exactness do not depend on it, how much is accepted does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Features {
    /// Id `i` is what block `i`, counted from 0, puts out. The long-context head for gpt-oss-120b was trained so.
    #[default]
    BlockOutput,
    /// Id `i` is what block `i` takes in; the number of blocks is what the last one puts out. So for Eagle3-v3.
    Boundary,
}

/// The shape of a head, checked against its target's.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadConfig {
    /// Width of the residual stream, the target's.
    pub hidden: usize,
    /// Width inside the MLP.
    pub intermediate: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Elements of a head, even.
    pub head_dim: usize,
    /// Epsilon of the RMS norms.
    pub norm_eps: f32,
    /// Rotary embedding.
    pub rope: Rope,
    /// Which residual streams of the target it takes, in order: 0 is the embedding, `i` what the `i`-th block puts out.
    pub boundaries: Vec<usize>,
    /// Whether they are normalised together before they are mixed.
    pub norm_before_fc: bool,
    /// Tokens of the target.
    pub vocab_size: usize,
    /// Tokens that it can draft, at most as many.
    pub draft_vocab_size: usize,
}

impl HeadConfig {
    /// Reads `config.json` in `dir` for a head of this target.
    ///
    /// # Errors
    /// An unreadable file, bad JSON, a value that is not computed here or does not fit the target.
    pub fn load(dir: &Path, target: &ModelConfig, features: Features) -> Result<Self, LoadError> {
        let path = dir.join("config.json");
        let read = |source| LoadError::Read {
            path: path.clone(),
            source,
        };
        let damaged = |what| LoadError::Damaged {
            path: path.clone(),
            what,
        };
        let len = std::fs::metadata(&path).map_err(read)?.len();
        if len > MAX_JSON_BYTES {
            return Err(damaged(format!(
                "is {len} bytes, expected a configuration of at most {MAX_JSON_BYTES}"
            )));
        }
        let text = ossmark_files::read(&path).map_err(read)?;
        let json = serde_json::from_slice(ossmark_files::without_mark(&text));
        let Json(value) = json.map_err(|e| damaged(format!("not a head's configuration: {e}")))?;
        let Value::Object(keys) = value else {
            return Err(damaged("not a head's configuration: no object".into()));
        };
        let top = Section::new(&path, "", keys);
        check(top, target, features)
    }

    /// The same shape as a model's, for operations that ask for one.
    pub(crate) fn as_model(&self) -> ModelConfig {
        ModelConfig {
            vocab_size: self.vocab_size,
            hidden: self.hidden,
            intermediate: self.intermediate,
            layers: vec![LayerKind::Full],
            experts: 1,
            top_k: 1,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            window: None,
            norm_eps: self.norm_eps,
            swiglu_limit: 0.0,
            rope_theta: 1.0,
            yarn: None,
            max_context: usize::MAX,
            stop_tokens: Vec::new(),
        }
    }
}

/// Keys of a configuration's top level that describe files, training or text, and change nothing that is computed here.
const IGNORED: [&str; 19] = [
    "_name_or_path",
    "attention_dropout",
    "auto_map",
    "bos_token_id",
    "dtype",
    "eos_token_id",
    "hidden_dropout",
    "initializer_range",
    "max_position_embeddings",
    "name_or_path",
    "pad_token_id",
    "pretraining_tp",
    "producer",
    "target_model_type",
    "torch_dtype",
    "transformers_version",
    "unk_token_id",
    "use_cache",
    "uses_cache",
];

fn check(
    mut top: Section<'_>,
    target: &ModelConfig,
    features: Features,
) -> Result<HeadConfig, LoadError> {
    for key in IGNORED {
        top.take(key);
    }
    if let Some(names) = top.take("architectures") {
        let named = |n: &Value| n.as_str() == Some("LlamaForCausalLMEagle3");
        let ok = names.as_array().is_some_and(|a| a.iter().any(named));
        top.that(ok, "architectures", &names, "[\"LlamaForCausalLMEagle3\"]")?;
    }
    top.word("model_type", "llama")?;
    top.word("hidden_act", "silu")?;
    for key in ["attention_bias", "mlp_bias", "tie_word_embeddings"] {
        top.flag(key, false)?;
    }
    let layers = top.whole("num_hidden_layers", Some(1), 1024)?;
    top.that(
        layers == 1,
        "num_hidden_layers",
        layers,
        "1: a head is one layer",
    )?;
    let hidden = top.whole("hidden_size", None, MAX_WIDTH)?;
    top.equal("hidden_size", hidden, target.hidden)?;
    let vocab_size = top.whole("vocab_size", Some(target.vocab_size), MAX_WIDTH)?;
    top.equal("vocab_size", vocab_size, target.vocab_size)?;
    let draft_vocab_size = top.whole("draft_vocab_size", Some(vocab_size), MAX_WIDTH)?;
    top.that(
        draft_vocab_size <= vocab_size,
        "draft_vocab_size",
        draft_vocab_size,
        format!("at most the target's vocab_size, {vocab_size}"),
    )?;
    let intermediate = top.whole("intermediate_size", None, MAX_WIDTH)?;
    let heads = top.whole("num_attention_heads", None, 4096)?;
    let kv_heads = top.whole("num_key_value_heads", Some(heads), 4096)?;
    top.that(
        heads % kv_heads == 0,
        "num_key_value_heads",
        kv_heads,
        format!("a divisor of num_attention_heads, {heads}"),
    )?;
    let head_dim = top.whole("head_dim", Some((hidden / heads).max(1)), 1024)?;
    let even = "an even number: rotary embedding turns pairs";
    top.that(head_dim % 2 == 0, "head_dim", head_dim, even)?;
    let norm_eps = top.real("rms_norm_eps", 1e-5, 1e-12, 1.0)? as f32;
    let rope = rope(&mut top, head_dim)?;

    let mut eagle = top.section("eagle_config")?;
    // Where both have a key the top level wins, as in vLLM.
    let mut key_of_both = |key: &str| {
        let inner = eagle.take(key);
        top.take(key).or(inner)
    };
    let ids = key_of_both("eagle_aux_hidden_state_layer_ids");
    let norm_before_fc = key_of_both("norm_before_fc");
    let norm_before_fc = match norm_before_fc.unwrap_or(Value::Bool(false)) {
        Value::Bool(b) => b,
        other => return top.refuse("norm_before_fc", other, "true or false"),
    };
    for section in [&mut eagle, &mut top] {
        section.flag("use_aux_hidden_state", true)?;
        section.flag("use_input_layernorm_in_first_layer", true)?;
        section.flag("use_last_layernorm", true)?;
        section.flag("use_mtp_layernorm", false)?;
        let steps = section.whole("parallel_draft_step", Some(1), 1 << 20)?;
        let one = "1: this engine drafts one token after the other";
        section.that(steps == 1, "parallel_draft_step", steps, one)?;
        // Of heads that draft in parallel, and of those with more than one layer: this one is neither.
        section.take("parallel_draft_heads_num_layers");
        section.take("next_layer_regular");
    }
    let boundaries = boundaries(&top, ids, target.layers.len(), features)?;
    eagle.nothing_left()?;
    top.nothing_left()?;
    Ok(HeadConfig {
        hidden,
        intermediate,
        heads,
        kv_heads,
        head_dim,
        norm_eps,
        rope,
        boundaries,
        norm_before_fc,
        vocab_size,
        draft_vocab_size,
    })
}

/// `rope_theta` and `rope_scaling`, or both in `rope_parameters` as newer Transformers write them.
fn rope(top: &mut Section<'_>, head_dim: usize) -> Result<Rope, LoadError> {
    let older = top.section("rope_scaling")?;
    let mut newer = top.section("rope_parameters")?;
    let theta = newer.real("rope_theta", 500_000.0, 2.0, 1e12)?;
    let theta = top.real("rope_theta", theta, 2.0, 1e12)?;
    let both = !older.keys.is_empty() && !newer.keys.is_empty();
    let expected = "one of rope_scaling and rope_parameters";
    top.that(
        !both,
        "rope_scaling",
        "there beside rope_parameters",
        expected,
    )?;
    let mut scaling = if older.keys.is_empty() { newer } else { older };
    scaling.take("rope_theta");
    let kind = scaling.take("rope_type");
    // The older spelling; files in the wild hold both.
    let kind = kind.or(scaling.take("type"));
    let scaled = match kind.as_ref().map(Value::as_str) {
        None | Some(Some("default")) => None,
        Some(Some("llama3")) => Some(Llama3 {
            factor: scaling.real("factor", 8.0, 1.0, 1e6)?,
            low_freq_factor: scaling.real("low_freq_factor", 1.0, 1e-6, 1e6)?,
            high_freq_factor: scaling.real("high_freq_factor", 4.0, 1e-6, 1e6)?,
            original_context: scaling.real("original_max_position_embeddings", 8192.0, 1.0, 1e9)?,
        }),
        Some(_) => {
            return scaling.refuse("rope_type", kind.unwrap_or_default(), "llama3 or default");
        }
    };
    if let Some(l) = &scaled {
        let (low, high) = (l.low_freq_factor, l.high_freq_factor);
        let above = format!("more than low_freq_factor, {low}");
        scaling.that(high > low, "high_freq_factor", high, above)?;
    }
    scaling.nothing_left()?;
    Ok(match scaled {
        Some(llama3) => Rope::llama3(head_dim, theta, &llama3),
        None => Rope::new(head_dim, theta, None),
    })
}

fn boundaries(
    top: &Section<'_>,
    ids: Option<Value>,
    layers: usize,
    features: Features,
) -> Result<Vec<usize>, LoadError> {
    const KEY: &str = "eagle_aux_hidden_state_layer_ids";
    let ids = match ids {
        Some(ids) => ids,
        // What ModelOpt takes (`collect_hidden_states/common.py`); [1, 17, 32] of 36 layers.
        None if layers >= 6 => Value::from(vec![1, layers / 2 - 1, layers - 4]),
        None => return top.refuse(KEY, "absent", "the layers whose states the head takes"),
    };
    let (shift, most) = match features {
        Features::BlockOutput => (1, layers - 1),
        Features::Boundary => (0, layers),
    };
    let one = |id: &Value| {
        let id = usize::try_from(id.as_u64()?).ok()?;
        (id <= most).then_some(id + shift)
    };
    let all = ids
        .as_array()
        .map(|all| all.iter().map(one).collect::<Option<Vec<_>>>());
    match all {
        Some(Some(all)) if (1..=MAX_FEATURES).contains(&all.len()) => Ok(all),
        _ => top.refuse(
            KEY,
            ids,
            format!("1 to {MAX_FEATURES} layers of the target's {layers}, each 0 to {most}"),
        ),
    }
}

/// The keys of one object; what is taken is dealt with.
struct Section<'a> {
    path: &'a Path,
    /// Of every key's name in messages.
    prefix: &'static str,
    keys: Map<String, Value>,
}

impl<'a> Section<'a> {
    fn new(path: &'a Path, prefix: &'static str, keys: Map<String, Value>) -> Self {
        Self { path, prefix, keys }
    }

    /// None where it is absent or null.
    fn take(&mut self, key: &str) -> Option<Value> {
        self.keys.remove(key).filter(|v| !v.is_null())
    }

    fn section(&mut self, key: &'static str) -> Result<Self, LoadError> {
        let prefix = match key {
            "eagle_config" => "eagle_config.",
            "rope_scaling" => "rope_scaling.",
            _ => "rope_parameters.",
        };
        match self.take(key) {
            None => Ok(Self::new(self.path, prefix, Map::new())),
            Some(Value::Object(keys)) => Ok(Self::new(self.path, prefix, keys)),
            Some(other) => self.refuse(key, other, "an object or null"),
        }
    }

    fn refuse<T>(
        &self,
        key: &str,
        found: impl Display,
        expected: impl Into<String>,
    ) -> Result<T, LoadError> {
        Err(LoadError::Unsupported {
            path: self.path.into(),
            field: format!("{}{}", self.prefix, Brief(key)).into(),
            found: Brief(&found.to_string()).to_string(),
            expected: expected.into(),
        })
    }

    fn that(
        &self,
        ok: bool,
        key: &str,
        found: impl Display,
        expected: impl Into<String>,
    ) -> Result<(), LoadError> {
        if ok {
            Ok(())
        } else {
            self.refuse(key, found, expected)
        }
    }

    fn equal(&self, key: &str, found: usize, target: usize) -> Result<(), LoadError> {
        self.that(
            found == target,
            key,
            found,
            format!("the target's, {target}"),
        )
    }

    fn word(&mut self, key: &str, expected: &str) -> Result<(), LoadError> {
        let found = self.take(key).unwrap_or_else(|| expected.into());
        self.that(found.as_str() == Some(expected), key, &found, expected)
    }

    fn flag(&mut self, key: &str, expected: bool) -> Result<(), LoadError> {
        let found = self.take(key).unwrap_or(Value::Bool(expected));
        self.that(
            found == Value::Bool(expected),
            key,
            &found,
            expected.to_string(),
        )
    }

    /// A whole number from 1 to `max`; `default` where it is absent, which some keys may not be.
    fn whole(&mut self, key: &str, default: Option<usize>, max: u64) -> Result<usize, LoadError> {
        let found = match (self.take(key), default) {
            (Some(found), _) => found,
            (None, Some(default)) => return Ok(default),
            (None, None) => return self.refuse(key, "absent", format!("1 to {max}")),
        };
        match found.as_u64() {
            Some(n) if (1..=max).contains(&n) => Ok(n as usize),
            _ => self.refuse(key, found, format!("a whole number from 1 to {max}")),
        }
    }

    fn real(&mut self, key: &str, default: f64, min: f64, max: f64) -> Result<f64, LoadError> {
        let Some(found) = self.take(key) else {
            return Ok(default);
        };
        match found.as_f64() {
            Some(x) if (min..=max).contains(&x) => Ok(x),
            _ => self.refuse(key, found, format!("{min} to {max}")),
        }
    }

    /// What nobody has taken would be ignored: only what says of itself that it is off may be.
    fn nothing_left(&self) -> Result<(), LoadError> {
        let off = |v: &Value| v.is_null() || *v == Value::Bool(false);
        match self.keys.iter().find(|(_, v)| !off(v)) {
            None => Ok(()),
            Some((key, value)) => self.refuse(
                key,
                value,
                "no such key: this engine does not know what it changes",
            ),
        }
    }
}

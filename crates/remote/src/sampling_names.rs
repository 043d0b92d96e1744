//! What a request says about sampling, and what each field is called where. A server fills what is left out from its own
//! configuration (vLLM from the model's generation_config.json), so that everything is said, neutral values too.

use std::io::Write;

use ossmark_protocol::{MAX_SEED, Request};

use crate::json::push_ids;

/// The name of each field in a dialect; `None` where it cannot be said. A dialect that leaves one out does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SamplingNames {
    pub(crate) max_tokens: &'static str,
    pub(crate) temperature: &'static str,
    pub(crate) top_p: &'static str,
    pub(crate) top_k: Option<&'static str>,
    /// What `top_k` is for all tokens.
    pub(crate) all_tokens: i64,
    pub(crate) min_p: Option<&'static str>,
    pub(crate) repetition_penalty: Option<&'static str>,
    pub(crate) presence_penalty: Option<&'static str>,
    pub(crate) frequency_penalty: Option<&'static str>,
    pub(crate) min_tokens: Option<&'static str>,
    pub(crate) ignore_eos: Option<&'static str>,
    pub(crate) stop_token_ids: Option<&'static str>,
    pub(crate) n: Option<&'static str>,
    pub(crate) seed: Option<&'static str>,
}

impl SamplingNames {
    /// The names of OpenAI's API with vLLM's additions.
    pub(crate) const VLLM: Self = Self {
        max_tokens: "max_tokens",
        temperature: "temperature",
        top_p: "top_p",
        top_k: Some("top_k"),
        all_tokens: 0,
        min_p: Some("min_p"),
        repetition_penalty: Some("repetition_penalty"),
        presence_penalty: Some("presence_penalty"),
        frequency_penalty: Some("frequency_penalty"),
        min_tokens: Some("min_tokens"),
        ignore_eos: Some("ignore_eos"),
        stop_token_ids: Some("stop_token_ids"),
        n: Some("n"),
        seed: Some("seed"),
    };

    /// Fields that cannot be said: what they are is the server's.
    pub(crate) fn unsaid(&self) -> Vec<&'static str> {
        let fields = [
            ("top_k", self.top_k),
            ("min_p", self.min_p),
            ("repetition_penalty", self.repetition_penalty),
            ("presence_penalty", self.presence_penalty),
            ("frequency_penalty", self.frequency_penalty),
            ("min_tokens", self.min_tokens),
            ("ignore_eos", self.ignore_eos),
            ("stop_token_ids", self.stop_token_ids),
            ("n", self.n),
            ("seed", self.seed),
        ];
        let unsaid = fields.into_iter().filter(|(_, name)| name.is_none());
        unsaid.map(|(field, _)| field).collect()
    }

    /// Appends the fields, with commas between them.
    ///
    /// # Errors
    /// When the request wants what this dialect cannot say, or has a seed that no server takes.
    pub(crate) fn push(&self, body: &mut Vec<u8>, request: &Request) -> Result<(), String> {
        let sampling = &request.sampling;
        let unsayable = [
            ("top_k", sampling.top_k != 0 && self.top_k.is_none()),
            (
                "ignore_eos",
                request.ignore_eos && self.ignore_eos.is_none(),
            ),
            (
                "stop_token_ids",
                !request.stop_tokens.is_empty() && self.stop_token_ids.is_none(),
            ),
        ];
        if let Some((field, _)) = unsayable.iter().find(|(_, wanted)| *wanted) {
            return Err(format!(
                "the request wants {field}, which this server's API cannot be told"
            ));
        }
        // Sent as it is or not at all: another seed is another answer.
        if request.seed > MAX_SEED {
            let seed = request.seed;
            return Err(format!(
                "the request's seed is {seed}, servers take at most {MAX_SEED}"
            ));
        }
        let top_k = match sampling.top_k {
            0 => self.all_tokens,
            k => i64::from(k),
        };
        // Writing into memory cannot fail.
        let _ = write!(
            body,
            "\"{}\":{},\"{}\":{},\"{}\":{}",
            self.max_tokens,
            request.max_new_tokens,
            self.temperature,
            sampling.temperature,
            self.top_p,
            sampling.top_p
        );
        let mut number = |name: Option<&str>, value: &dyn std::fmt::Display| {
            if let Some(name) = name {
                let _ = write!(body, ",\"{name}\":{value}");
            }
        };
        number(self.top_k, &top_k);
        number(self.min_p, &0);
        number(self.repetition_penalty, &1);
        number(self.presence_penalty, &0);
        number(self.frequency_penalty, &0);
        number(self.min_tokens, &0);
        number(self.n, &1);
        number(self.ignore_eos, &request.ignore_eos);
        number(self.seed, &request.seed);
        // An empty list would change nothing: a server's own stop tokens stay.
        if let Some(name) = self
            .stop_token_ids
            .filter(|_| !request.stop_tokens.is_empty())
        {
            let _ = write!(body, ",\"{name}\":");
            push_ids(body, &request.stop_tokens);
        }
        Ok(())
    }
}

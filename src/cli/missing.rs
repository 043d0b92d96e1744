//! Options that a command does not do without and that clap cannot ask for, because a file may hold them or another option
//! may stand for them: all that are missing are told at once.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::{EngineArg, EngineArgs, HttpArgs};

/// Refuses a command for which `options` are missing, each with what it is; `place` is where they may stand.
///
/// # Errors
///
/// There are some.
pub(crate) fn refuse(options: &[&str], place: &str) -> Result<()> {
    match options {
        [] => Ok(()),
        [one] => bail!("missing{place}: {one}"),
        several => bail!("missing{place}:\n{}", several.join("\n")),
    }
}

impl EngineArgs {
    /// What is missing of who answers.
    pub(crate) fn missing(&self, http: &HttpArgs) -> Option<&'static str> {
        match self.engine {
            Some(EngineArg::Http) => http
                .endpoint
                .is_empty()
                .then_some("--endpoint URL: a server, such as http://host:30000"),
            Some(EngineArg::Echo) => None,
            Some(EngineArg::Auto | EngineArg::Cpu | EngineArg::Cuda) | None => {
                let has_weights = self.model.is_some() || self.synthetic.synthetic.is_some();
                (!has_weights).then_some(
                    "--model DIR: config.json, safetensors and tokenizer.json (or --engine http --endpoint URL)",
                )
            }
        }
    }

    /// Refuses a command that reads answers as text for which some of it is missing, or a tokenizer that no model brings.
    ///
    /// # Errors
    ///
    /// As [`refuse`].
    pub(crate) fn refuse_missing(
        &self,
        http: &HttpArgs,
        tokenizer: Option<&PathBuf>,
    ) -> Result<()> {
        let answers_without = matches!(self.engine, Some(EngineArg::Http | EngineArg::Echo));
        let has_none = tokenizer.is_none() && self.model.is_none() && answers_without;
        let tokenizer = has_none.then_some(
            "--tokenizer PATH: the model's directory or its tokenizer.json, for the answers' text",
        );
        let missing: Vec<&str> = self.missing(http).into_iter().chain(tokenizer).collect();
        refuse(&missing, "")
    }
}

//! What is asked: prompts as ids, or with the chat API what the user says in a column of the data sets.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ossmark_dataset::Dataset;
use ossmark_protocol::TokenId;

use crate::cli::{ApiArg, EndpointsRunArgs, EngineArg};

/// Prompts of all data sets of a rehearsal.
pub(super) struct Asked {
    form: Form,
}

enum Form {
    Ids,
    /// The echo engine answers by row and reads nothing else (see generator::echo).
    Rows,
    /// A prompt is the place of a message.
    Chat {
        column: String,
        messages: Vec<Box<str>>,
    },
}

impl Asked {
    pub(super) fn of(args: &EndpointsRunArgs) -> Result<Self> {
        let engine = args.engine.engine;
        let is_chat = engine == Some(EngineArg::Http) && args.http.api == Some(ApiArg::Chat);
        let form = match (engine, &args.message_column) {
            (_, Some(column)) if is_chat => Form::Chat {
                column: column.clone(),
                messages: Vec::new(),
            },
            (_, Some(column)) => {
                bail!(
                    "--message-column {column}: only the chat API is asked in words; give --engine http --api chat, or leave it out"
                )
            }
            (_, None) if is_chat => bail!(
                "--api chat: missing --message-column NAME, the data set's column with what the user says (`question`, say)"
            ),
            (Some(EngineArg::Echo), None) => Form::Rows,
            _ => Form::Ids,
        };
        Ok(Self { form })
    }

    /// A data set, with what is needed of it.
    pub(super) fn open(&self, file: &Path) -> Result<Dataset> {
        Ok(match &self.form {
            Form::Chat { column, .. } => Dataset::open_with(file, &[column])?,
            Form::Ids | Form::Rows => Dataset::open(file)?,
        })
    }

    /// Of the first rows.
    pub(super) fn prompts(&mut self, dataset: &Dataset, rows: u32) -> Result<Vec<Arc<[TokenId]>>> {
        let Form::Chat { column, messages } = &mut self.form else {
            return Ok(match self.form {
                Form::Rows => (0..rows).map(|row| Arc::from([row])).collect(),
                _ => dataset.prompts[..rows as usize].to_vec(),
            });
        };
        let file = dataset.path.display();
        let Some(cells) = dataset.text.get(column.as_str()) else {
            bail!(
                "--message-column {column}: {file} has no such column of text; it has {}",
                dataset.text_columns.join(", ")
            );
        };
        let mut prompts = Vec::new();
        for (row, cell) in cells.iter().enumerate().take(rows as usize) {
            let said = cell.as_deref().filter(|said| !said.is_empty());
            let said = said.with_context(|| {
                format!("--message-column {column}: {file}, row {row}: has no text, expected one")
            })?;
            prompts.push(Arc::from([TokenId::try_from(messages.len())?]));
            messages.push(said.into());
        }
        Ok(prompts)
    }

    /// All messages; none but with the chat API.
    pub(super) fn messages(self) -> Arc<[Box<str>]> {
        match self.form {
            Form::Chat { messages, .. } => messages.into(),
            Form::Ids | Form::Rows => Arc::from([]),
        }
    }
}

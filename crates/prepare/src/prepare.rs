//! From a recipe to rows. Reading is serial, because the shuffling of options is; rendering and tokenising run on as many
//! threads as are asked for, and their results are put back in order, so that the rows do not depend on the threads.

use std::path::{Path, PathBuf};

use ossmark_dataset::{content_sha256, file_sha256};
use ossmark_harmony::{Effort, Harmony, PromptMessage};
use rayon::prelude::*;

use crate::{
    Error, FileEntry, Manifest, OutputEntry, Recipe, Result, SourceEntry, Template, Templates,
    TokenizerEntry,
    manifest::Lengths,
    question::{self, Question},
    recipe::{DEFAULT_DATE, DEFAULT_SEED, Selection, check_date},
    row::Row,
    write,
};

/// What is asked for beside the recipe; what is None is the recipe's, or the default.
#[derive(Debug, Default)]
pub struct Request {
    /// Reasoning effort.
    pub effort: Option<Effort>,
    /// The date in the system message, YYYY-MM-DD.
    pub date: Option<String>,
    /// Seed of the shuffled options.
    pub seed: Option<u32>,
    /// A template file.
    pub templates: Option<PathBuf>,
    /// Threads; 0 is one for each core.
    pub workers: usize,
}

/// What is being done, for a progress display. Called from all threads.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A file is read.
    Reading(&'a Path),
    /// All files are read; so many questions will be tokenised.
    Questions(u64),
    /// One question is tokenised.
    Tokenised,
}

/// A data set in memory.
#[derive(Debug)]
pub struct Prepared {
    sources: Vec<PreparedSource>,
    request: ResolvedSettings,
    templates_sha256: String,
}

#[derive(Debug)]
struct PreparedSource {
    dataset: String,
    kind: String,
    template: Template,
    repeats: u32,
    files: Vec<FileEntry>,
    selection: Selection,
    questions: Vec<(Question, Prompt)>,
}

#[derive(Debug)]
struct Prompt {
    user: String,
    text: String,
    tokens: Vec<u32>,
}

/// The request with the recipe's values and the defaults filled in.
#[derive(Debug)]
struct ResolvedSettings {
    effort: Effort,
    date: String,
    seed: u32,
}

/// Reads, renders and tokenises everything that the recipe names.
///
/// # Errors
/// Whatever is wrong with the files, each with its place; nothing is written here.
pub fn prepare(
    recipe: &Recipe,
    recipe_path: &Path,
    request: &Request,
    harmony: &Harmony,
    progress: &(dyn Fn(Step<'_>) + Sync),
) -> Result<Prepared> {
    let refuse = |what: String| Error::Settings {
        path: recipe_path.to_owned(),
        what,
    };
    let templates = match request.templates.as_ref().or(recipe.templates.as_ref()) {
        Some(file) => Templates::load(file)?,
        None => Templates::built_in(),
    };
    let resolved = ResolvedSettings {
        effort: request.effort.or(recipe.effort).unwrap_or(Effort::High),
        date: request
            .date
            .clone()
            .or(recipe.date.clone())
            .unwrap_or_else(|| DEFAULT_DATE.into()),
        seed: request.seed.or(recipe.seed).unwrap_or(DEFAULT_SEED),
    };
    check_date(&resolved.date).map_err(|e| refuse(format!("date: {e}")))?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(request.workers)
        .build()
        .map_err(|e| Error::Internal {
            what: "start the worker threads",
            reason: e.to_string(),
        })?;

    // Everything that can be wrong with the recipe and the files comes before the long part.
    let mut read = Vec::new();
    for (number, source) in (1..).zip(&recipe.sources) {
        let template = templates
            .kind(&source.kind)
            .map_err(|what| refuse(format!("source {number} ({}): {what}", source.kind)))?;
        let on_file = |path: &Path| progress(Step::Reading(path));
        let questions = question::read(source, template.reader, resolved.seed, &on_file)?;
        if questions.is_empty() {
            let window = source.from.is_some() || source.until.is_some();
            return Err(Error::NoQuestions {
                number,
                kind: source.kind.clone(),
                why: if window {
                    " in the window from … until"
                } else {
                    ""
                }
                .into(),
            });
        }
        read.push((source, template.clone(), questions));
    }
    progress(Step::Questions(
        read.iter().map(|(.., q)| q.len() as u64).sum(),
    ));

    let system = templates.system(&resolved.date, resolved.effort);
    let mut sources = Vec::new();
    for (source, template, questions) in read {
        let tokenise = |question: Question| {
            let prompt = prompt(&template, &question, system.clone(), harmony).map_err(|e| {
                Error::Tokenise {
                    path: source.files[question.file].clone(),
                    place: question.place,
                    source: e,
                }
            })?;
            progress(Step::Tokenised);
            Ok((question, prompt))
        };
        let questions: Vec<(Question, Prompt)> = pool.install(|| {
            questions
                .into_par_iter()
                .map(tokenise)
                .collect::<Result<_>>()
        })?;
        sources.push(PreparedSource {
            dataset: source.dataset().to_owned(),
            kind: source.kind.clone(),
            repeats: source.repeats.unwrap_or(template.repeats),
            files: files(&source.files, &questions)?,
            selection: Selection {
                release: source.release.clone(),
                from: source.from.clone(),
                until: source.until.clone(),
                limit: source.limit,
            },
            template,
            questions,
        });
    }
    Ok(Prepared {
        sources,
        request: resolved,
        templates_sha256: templates.sha256,
    })
}

fn prompt(
    template: &Template,
    question: &Question,
    system: ossmark_harmony::System,
    harmony: &Harmony,
) -> ossmark_harmony::Result<Prompt> {
    let user = template.fill(&question.parts);
    let mut messages = vec![PromptMessage::System(system)];
    let developer = template.developer.clone();
    messages.extend(developer.map(|text| PromptMessage::Developer(text.into())));
    messages.push(PromptMessage::User(user.clone()));
    let tokens = harmony.prompt(&messages)?;
    Ok(Prompt {
        user,
        text: harmony.tokenizer().decode(&tokens),
        tokens,
    })
}

/// Files by name, not by path: a manifest is to be the same wherever the files lay.
fn files(paths: &[PathBuf], questions: &[(Question, Prompt)]) -> Result<Vec<FileEntry>> {
    let entry = |(number, path): (usize, &PathBuf)| {
        let from_here = |question: &Question| question.file == number;
        Ok(FileEntry {
            file: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            sha256: file_sha256(path)?,
            questions: questions.iter().filter(|(q, _)| from_here(q)).count(),
        })
    };
    paths.iter().enumerate().map(entry).collect()
}

impl Prepared {
    /// Every row: source after source, and within one the whole set as often as it is repeated.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.sources.iter().flat_map(|source| {
            (0..source.repeats).flat_map(|_| {
                source.questions.iter().map(|(question, prompt)| Row {
                    dataset: &source.dataset,
                    ground_truth: &question.ground_truth,
                    question: &question.parts[0],
                    prompt: &prompt.user,
                    text_input: &prompt.text,
                    input_tokens: &prompt.tokens,
                })
            })
        })
    }

    /// The parquet file's bytes; the same for the same rows.
    ///
    /// # Errors
    /// [`Error::Internal`] when the encoder fails.
    pub fn parquet(&self) -> Result<Vec<u8>> {
        write::parquet(self.rows())
    }

    /// What the data set was made of. `tool` is the program's name and version.
    pub fn manifest(
        &self,
        tool: &str,
        tokenizer: TokenizerEntry,
        output: &str,
        parquet: &[u8],
    ) -> Manifest {
        let prompts: Vec<_> = self.rows().map(|row| row.input_tokens.into()).collect();
        let sources = self.sources.iter().map(|source| SourceEntry {
            dataset: source.dataset.clone(),
            kind: source.kind.clone(),
            template: source.template.clone(),
            files: source.files.clone(),
            selection: source.selection.clone(),
            questions: source.questions.len(),
            repeats: source.repeats,
            rows: source.questions.len() * source.repeats as usize,
        });
        Manifest {
            tool: tool.into(),
            output: OutputEntry {
                file: output.into(),
                sha256: crate::manifest::sha256(parquet),
                content_sha256: content_sha256(&prompts),
                rows: prompts.len(),
                prompt_tokens: Lengths::of(&prompts),
            },
            effort: self.request.effort,
            date: self.request.date.clone(),
            seed: self.request.seed,
            templates_sha256: self.templates_sha256.clone(),
            tokenizer,
            sources: sources.collect(),
        }
    }
}

//! `ossmark serve`: an engine behind HTTP, until SIGTERM or Ctrl-C.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ossmark_engine::Speculation;
use ossmark_engine::eagle3::tensors_sha256;
use ossmark_protocol::{Closed, Generator, Load, Request, RequestError, RequestId, TokenId};
use ossmark_serve::{ApiKey, AppState, DraftHead, Limits, ModelTokenizer, Settings, model_name};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{EngineArg, ServeArgs};
use crate::exit::Outcome;
use crate::generator::engine_plan::EnginePlan;
use crate::terminal::{self, note, say};

/// What the echo engine pretends to be: gpt-oss-120b.
const ECHO: Limits = Limits {
    vocab_size: 201_088,
    max_context: 131_072,
    logits: false,
};
/// Files that are no connections: weights, logs, epoll, the listener.
const OTHER_FILES: u64 = 64;
/// What shells report for a program that Ctrl-C ended.
const INTERRUPTED: i32 = crate::exit::INTERRUPTED as i32;

/// What `/metrics` says of the head that drafts.
fn draft_head(plan: &EnginePlan) -> Result<Option<DraftHead>> {
    let of = |s: &Speculation| {
        let place = || format!("--speculate {}", s.head.display());
        Ok(DraftHead {
            tensors_sha256: tensors_sha256(&s.head).with_context(place)?,
            steps: s.steps,
        })
    };
    plan.speculation().map(of).transpose()
}

pub(crate) fn serve(args: &ServeArgs) -> Result<Outcome> {
    let address = address(args)?;
    let files = ossmark_serve::raise_open_files();
    let mut settings = settings(args, files)?;
    let mut plan = EnginePlan::choose(&args.engine, &args.speculate, None, &args.echo)?;
    settings.draft_head = draft_head(&plan)?;
    let text = tokenizer(args)?;
    if let Some(text) = &text {
        plan.echo_below(text.text_ids());
    }
    if settings.max_concurrency as u64 > files.saturating_sub(OTHER_FILES) {
        note!(
            "ossmark: warning: {files} files may be open (ulimit -n), so at most {} connections are served at a time, fewer than \
             --max-concurrency {}",
            settings.max_connections,
            settings.max_concurrency
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.http_threads)
        .thread_name("http")
        .enable_all()
        .build()
        .context("cannot start the threads that serve connections")?;
    let (sink, events) = ossmark_serve::channel();
    let started = plan.start(sink, None)?;
    let limits = started.info.as_ref().map_or(ECHO, |info| Limits {
        vocab_size: info.vocab_size,
        max_context: info.max_context,
        logits: true,
    });
    let generator: Arc<dyn Generator> = match started.info {
        Some(_) => Arc::clone(&started.generator),
        None => Arc::new(Scripted {
            generator: Arc::clone(&started.generator),
            limits,
        }),
    };
    let app = Arc::new(AppState::new(generator, limits, text, settings));
    let drained = runtime.block_on(async {
        let listener = ossmark_serve::bind(address, &app)?;
        let address = listener.local_addr().context("cannot learn the port")?;
        let stop = stop(args.drain_timeout)?;
        say!("listening on http://{address}");
        if let Some(why) = terminal::stdout_error() {
            bail!("the address cannot be printed: {why}");
        }
        Ok::<bool, anyhow::Error>(
            ossmark_serve::serve(listener, Arc::clone(&app), events, stop).await,
        )
    })?;
    let (open, dead) = (app.open_requests(), app.engine_error());
    started.generator.shutdown();
    if let Some(message) = dead {
        note!("ossmark: the engine died: {message}");
    }
    if !drained {
        note!(
            "ossmark: requests cut off after {} s (--drain-timeout): {open}",
            args.drain_timeout
        );
    }
    Ok(if drained && dead.is_none() {
        Outcome::Good
    } else {
        Outcome::NotGood
    })
}

/// Ready at the first SIGTERM or Ctrl-C; the second ends the process at once.
fn stop(drain_timeout: f64) -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    Ok(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} };
        note!(
            "ossmark: stopping; open requests have {drain_timeout} s to end, a second signal ends them at once"
        );
        tokio::spawn(async move {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} };
            crate::exit::leave(INTERRUPTED);
        });
    })
}

fn address(args: &ServeArgs) -> Result<SocketAddr> {
    let found = (args.host.as_str(), args.port).to_socket_addrs();
    let mut found = found
        .with_context(|| format!("--host {}: expected an address of this machine", args.host))?;
    found
        .next()
        .with_context(|| format!("--host {}: has no address", args.host))
}

fn settings(args: &ServeArgs, files: u64) -> Result<Settings> {
    let seconds = |name: &str, value: f64| match value {
        0.001..=1e6 => Ok(Duration::from_secs_f64(value)),
        _ => bail!("--{name} {value}: expected seconds from 0.001 to 1e6"),
    };
    let positive = |name: &str, value: usize| match value {
        0 => bail!("--{name} 0: expected at least 1"),
        _ => Ok(value),
    };
    positive("http-threads", args.http_threads)?;
    let defaults = Settings::default();
    let name = args.served_model_name.clone();
    let name = name.or_else(|| match args.engine.synthetic.synthetic {
        Some(shape) => Some(format!("SYNTHETIC-{}", shape.name())),
        None => model_name(args.engine.model.as_ref()?),
    });
    Ok(Settings {
        model_name: name.unwrap_or(defaults.model_name),
        api_key: api_key(args)?,
        listen_host: args.host.clone(),
        max_concurrency: positive("max-concurrency", args.max_concurrency)?,
        max_connections: usize::try_from(files.saturating_sub(OTHER_FILES).max(1))
            .unwrap_or(usize::MAX)
            .min(
                defaults
                    .max_connections
                    .max(args.max_concurrency.saturating_mul(2)),
            ),
        max_body_bytes: positive("max-body-mib", args.max_body_mib)?.saturating_mul(1 << 20),
        max_total_body_bytes: defaults.max_total_body_bytes,
        max_tokenizations: defaults.max_tokenizations,
        read_timeout: seconds("read-timeout", args.read_timeout)?,
        write_timeout: seconds("write-timeout", args.write_timeout)?,
        drain_timeout: seconds("drain-timeout", args.drain_timeout)?,
        stream_interval: positive("stream-interval", args.stream_interval)?,
        incremental_output: args.incremental_streaming_output,
        finish_reason_object: args.finish_reason_object,
        seed: args.seed,
        chat_date: args.chat_date.clone(),
        draft_head: None,
    })
}

/// Never from the command line, which every user of the machine can read.
fn api_key(args: &ServeArgs) -> Result<Option<ApiKey>> {
    let (key, place) = match &args.api_key_file {
        Some(file) => {
            let place = format!("--api-key-file {}", file.display());
            let key = ossmark_files::read_to_string(file)
                .with_context(|| format!("{place}: cannot read it"))?;
            (key, place)
        }
        None => match std::env::var("OSSMARK_API_KEY") {
            Ok(key) => (key, "OSSMARK_API_KEY".to_owned()),
            Err(std::env::VarError::NotPresent) => return Ok(None),
            Err(error) => bail!("OSSMARK_API_KEY: {error}"),
        },
    };
    Ok(Some(ApiKey::new(&key, &place)?))
}

fn tokenizer(args: &ServeArgs) -> Result<Option<ModelTokenizer>> {
    let of_model = || {
        let file = args.engine.model.as_ref()?.join("tokenizer.json");
        file.exists().then_some(file)
    };
    let path: Option<PathBuf> = args.tokenizer.clone().or_else(of_model);
    if path.is_none() {
        note!("ossmark: no tokenizer.json: only token ids are understood (--tokenizer PATH)");
    }
    let tokenizer = path.map(|path| ModelTokenizer::load(&path)).transpose()?;
    Ok(tokenizer.map(|tokenizer| match args.engine.engine {
        Some(EngineArg::Echo) => tokenizer.answering_in_text(),
        _ => tokenizer,
    }))
}

/// A scripted engine, which answers anything: what a model would refuse is refused here.
struct Scripted {
    generator: Arc<dyn Generator>,
    limits: Limits,
}

impl Generator for Scripted {
    fn submit(&self, requests: Vec<Request>) -> Result<(), Closed> {
        self.generator.submit(requests)
    }

    fn cancel(&self, ids: Vec<RequestId>) {
        self.generator.cancel(ids);
    }

    fn check(&self, prompt: &[TokenId], max_new_tokens: u32) -> Result<(), RequestError> {
        check_scripted(&self.limits, prompt, max_new_tokens)
    }

    fn load(&self) -> Vec<Load> {
        self.generator.load()
    }
}

fn check_scripted(
    limits: &Limits,
    prompt: &[TokenId],
    max_new_tokens: u32,
) -> Result<(), RequestError> {
    let Limits {
        vocab_size,
        max_context,
        ..
    } = *limits;
    let outside = prompt
        .iter()
        .enumerate()
        .find(|&(_, &token)| token >= vocab_size);
    match outside {
        _ if prompt.is_empty() => Err(RequestError::EmptyPrompt),
        _ if max_new_tokens == 0 => Err(RequestError::NoNewTokens),
        _ if prompt.len() >= max_context as usize => Err(RequestError::PromptBeyondContext {
            prompt: prompt.len(),
            max_context,
        }),
        Some((position, &token)) => Err(RequestError::TokenOutsideVocabulary {
            token,
            position,
            vocab_size,
        }),
        None => Ok(()),
    }
}

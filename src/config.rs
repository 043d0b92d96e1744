//! The `--config` file: the options of `ossmark run` in TOML, under the same names. One struct serves both, so that the
//! two cannot drift apart; the command line wins.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cli::RunArgs;

/// Options of the file that `args.config` names, with those of the command line over them.
pub(crate) fn merge(args: RunArgs) -> Result<RunArgs> {
    let Some(file) = args.config.clone() else {
        return Ok(args);
    };
    let text = ossmark_files::read_to_string(&file)
        .with_context(|| format!("--config {}: cannot read", file.display()))?;
    let mut merged = parse(&text, &file)?;
    macro_rules! over {
        ($($name:ident),* $(,)?) => { $(if args.$name.is_some() { merged.$name = args.$name; })* };
    }
    over!(
        config,
        scenario,
        mode,
        model,
        dataset,
        output,
        engine,
        user_conf,
        audit_config,
        max_new_tokens,
        seed,
        target_qps,
        round,
        temperature,
        top_p,
        top_k,
        dtype,
        kv_dtype,
        kv_memory_mib,
        max_batch,
        max_step_tokens,
        threads,
        dp,
        watchdog,
        json,
        drill
    );
    merged.force |= args.force;
    merged.cuda = merged.cuda.or(&args.cuda);
    macro_rules! over_synthetic {
        ($($name:ident),* $(,)?) => {
            $(if args.synthetic.$name.is_some() { merged.synthetic.$name = args.synthetic.$name; })*
        };
    }
    over_synthetic!(synthetic, synthetic_seed, synthetic_skew);
    if !args.http.endpoint.is_empty() {
        merged.http.endpoint = args.http.endpoint;
    }
    macro_rules! over_http {
        ($($name:ident),* $(,)?) => { $(if args.http.$name.is_some() { merged.http.$name = args.http.$name; })* };
    }
    over_http!(
        api,
        max_concurrency,
        http_timeout,
        http_retries,
        http_stream,
        served_model,
        api_key_file,
        ca_file
    );
    merged.any_dataset |= args.any_dataset;
    macro_rules! over_echo {
        ($($name:ident),* $(,)?) => { $(if args.echo.$name.is_some() { merged.echo.$name = args.echo.$name; })* };
    }
    over_echo!(
        echo_script,
        echo_tokens,
        echo_ttft_ms,
        echo_tpot_ms,
        echo_slots,
        echo_samples
    );
    Ok(merged)
}

/// Reads the file's text; paths in it are relative to its directory.
fn parse(text: &str, file: &Path) -> Result<RunArgs> {
    // toml's message shows the line, the key and the keys that would be known.
    let mut args: RunArgs =
        toml::from_str(text).with_context(|| format!("--config {}", file.display()))?;
    let base = file.parent().unwrap_or(Path::new("")).to_owned();
    let paths: [&mut Option<PathBuf>; 9] = [
        &mut args.model,
        &mut args.dataset,
        &mut args.output,
        &mut args.user_conf,
        &mut args.audit_config,
        &mut args.json,
        &mut args.echo.echo_script,
        &mut args.http.api_key_file,
        &mut args.http.ca_file,
    ];
    for path in paths.into_iter().flatten() {
        *path = base.join(&path);
    }
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{EngineArg, ScenarioArg};

    #[test]
    fn the_command_line_wins_and_paths_are_relative_to_the_file() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("run.toml");
        std::fs::write(
            &file,
            "scenario = \"server\"\nmodel = \"m\"\nengine = \"cpu\"\nseed = 7\n[echo]\nslots = 3\ntokens = 9\n\
             [http]\nendpoint = [\"http://a:1\"]\nretries = 5\nca-file = \"ca.pem\"\n",
        )
        .unwrap();
        let mut args = RunArgs {
            config: Some(file),
            scenario: Some(ScenarioArg::Offline),
            ..RunArgs::default()
        };
        args.echo.echo_tokens = Some(4);
        let merged = merge(args).unwrap();
        assert_eq!(merged.scenario, Some(ScenarioArg::Offline));
        assert_eq!(merged.engine, Some(EngineArg::Cpu));
        assert_eq!(merged.model, Some(tmp.path().join("m")));
        assert_eq!(
            (merged.seed, merged.echo.echo_slots, merged.echo.echo_tokens),
            (Some(7), Some(3), Some(4))
        );
        assert_eq!(merged.http.endpoint, ["http://a:1"]);
        assert_eq!(merged.http.http_retries, Some(5));
        assert_eq!(merged.http.ca_file, Some(tmp.path().join("ca.pem")));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_name() {
        let error = format!(
            "{:#}",
            parse("scenari = \"server\"", Path::new("run.toml")).unwrap_err()
        );
        assert!(
            error.contains("scenari") && error.contains("run.toml"),
            "{error}"
        );
    }
}

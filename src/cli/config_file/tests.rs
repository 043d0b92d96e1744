use std::path::PathBuf;

use ossmark_rules::Scenario;

use super::*;
use crate::cli::{Command as Asked, EngineArg, RunArgs};

fn parsed(file: &str, line: &[&str]) -> Result<(RunArgs, PathBuf)> {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("run.toml");
    std::fs::write(&path, file).unwrap();
    let mut all: Vec<OsString> = ["ossmark", "run", "--config"].map(Into::into).into();
    all.push(path.into());
    all.extend(line.iter().map(Into::into));
    match parse(all)?.command {
        Asked::Run(args) => Ok((*args, tmp.path().to_owned())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_command_line_wins_and_paths_are_relative_to_the_file() {
    let (args, dir) = parsed(
        "scenario = \"server\"\nmodel = \"m\"\nengine = \"cpu\"\nseed = 7\nforce = true\n[echo]\nslots = 3\ntokens = 9\n\
         [http]\nendpoint = [\"http://a:1\", \"http://b:1\"]\nretries = 5\nca-file = \"ca.pem\"\n[cuda]\nno-graphs = true\n\
         no-overlap = false\n[synthetic]\nshape = \"tiny\"\nskew = 0.5\n",
        &["--scenario", "offline", "--echo-tokens=4", "--endpoint", "http://c:1", "--no-overlap"],
    )
    .unwrap();
    assert_eq!(args.scenario, Some(Scenario::Offline));
    assert_eq!(args.engine.engine, Some(EngineArg::Cpu));
    assert_eq!(args.engine.model, Some(dir.join("m")));
    assert_eq!(
        (args.seed, args.echo.echo_slots, args.echo.echo_tokens),
        (Some(7), Some(3), Some(4))
    );
    assert_eq!(args.http.endpoint, ["http://c:1"]);
    assert_eq!(args.http.http_retries, Some(5));
    assert_eq!(args.http.ca_file, Some(dir.join("ca.pem")));
    assert!(args.force && args.engine.cuda.no_graphs && args.engine.cuda.no_overlap);
    assert!(args.engine.synthetic.synthetic.is_some());
    assert_eq!(args.engine.synthetic.synthetic_skew, Some(0.5));
}

/// Every option of `run`, listed by clap, from the file alone.
#[test]
fn any_option_may_stand_in_the_file() {
    let mut cli = command();
    cli.build();
    let run = cli.find_subcommand("run").unwrap();
    let value = |arg: &Arg| match (arg.get_action(), arg.get_value_parser().possible_values()) {
        (ArgAction::SetTrue, _) => "true".to_owned(),
        (ArgAction::Append, _) if arg.get_id() == "source_address" => "[\"127.0.0.1\"]".to_owned(),
        (ArgAction::Append, Some(mut values)) => {
            format!("[\"{}\"]", values.next().unwrap().get_name())
        }
        (ArgAction::Append, None) => "[\"x\"]".to_owned(),
        (_, Some(mut values)) => format!("\"{}\"", values.next().unwrap().get_name()),
        _ => ["\"text\"", "3"]
            .into_iter()
            .find(|text| {
                let table: Table = toml::from_str(&format!("v = {text}")).unwrap();
                assignment(arg, "x", &table["v"], Path::new("")).is_ok()
            })
            .unwrap()
            .to_owned(),
    };
    let mut options = 0;
    for arg in run.get_arguments() {
        let (id, long) = (arg.get_id().as_str(), arg.get_long().unwrap());
        if NOT_IN_A_FILE.contains(&id) {
            continue;
        }
        let table = TABLES
            .iter()
            .find(|(_, group, _)| members(run, group).any(|a| a.get_id() == arg.get_id()));
        let text = match table {
            Some((name, _, prefix)) => {
                format!("[{name}]\n{} = {}", short_name(long, prefix), value(arg))
            }
            None => format!("{long} = {}", value(arg)),
        };
        let table: Table = toml::from_str(&text).unwrap();
        let given = arguments(run, &table, Path::new(""), |_| false).unwrap();
        let line = ["ossmark".into(), "run".into()].into_iter().chain(given);
        let matches = command().try_get_matches_from(line).unwrap();
        let matches = matches.subcommand_matches("run").unwrap();
        assert_eq!(
            matches.value_source(id),
            Some(ValueSource::CommandLine),
            "{text}"
        );
        options += 1;
    }
    assert!(options > 40, "{options}");
}

/// TOML's usual spelling, and names of before.
#[test]
fn underscores_and_earlier_names_are_understood() {
    let (args, _) = parsed(
        "target_qps = 2.5\nplan = true\n[http]\nserved-model = \"m\"\nmax_concurrency = 7\n[cuda]\nno_graphs = true\n",
        &[],
    )
    .unwrap();
    assert_eq!(args.target_qps, Some(2.5));
    assert!(args.dry_run && args.engine.cuda.no_graphs);
    assert_eq!(args.http.served_model_name.as_deref(), Some("m"));
    assert_eq!(args.http.max_concurrency, Some(7));
    let twice = parsed("target_qps = 1\ntarget-qps = 2\n", &[]).unwrap_err();
    assert!(format!("{twice:#}").contains("multiple times"), "{twice:#}");
}

#[test]
fn a_key_that_is_nearly_right_is_told_the_right_one() {
    for (file, hint) in [
        ("scenari = \"server\"", "did you mean 'scenario'?"),
        ("temprature = 1", "did you mean 'temperature'?"),
        ("target_qp = 1", "did you mean 'target_qps'?"),
        ("[http]\nretry = 1", "did you mean 'retries'?"),
        (
            "endpoint = [\"http://a:1\"]",
            "'endpoint' belongs into the table [http]",
        ),
        ("echo_tokens = 4", "'tokens' belongs into the table [echo]"),
        ("[http]\nslots = 4", "'slots' belongs into the table [echo]"),
    ] {
        let error = format!("{:#}", parsed(file, &[]).unwrap_err());
        assert!(error.contains(hint), "{file}: {error}");
    }
    let error = format!("{:#}", parsed("zzz = 1", &[]).unwrap_err());
    assert!(!error.contains("did you mean"), "{error}");
}

/// The file that is there to begin with.
#[test]
fn the_sample_is_one() {
    let sample = include_str!("../../../mlperf_conf/run.toml");
    let (args, dir) = parsed(sample, &[]).unwrap();
    assert_eq!(args.scenario, Some(Scenario::Server));
    assert_eq!(args.engine.model, Some(dir.join("gpt-oss-120b")));
    // What is in comments are options as well.
    let all: String = sample
        .lines()
        .map(|line| line.strip_prefix("#= ").unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(all.len() < sample.len(), "no options in comments");
    parsed(&all, &[]).unwrap();
}

#[test]
fn what_is_wrong_in_the_file_is_named() {
    for (file, expected) in [
        (
            "scenari = \"server\"",
            &["run.toml", "scenari", "scenario", "echo"][..],
        ),
        ("[http]\nretry = 1", &["http.retry", "retries", "endpoint"]),
        ("scenario = \"serve\"", &["run.toml", "serve", "--scenario"]),
        ("seed = \"7\"", &["seed", "expected a number"]),
        ("model = 7", &["model", "expected a text"]),
        ("force = 1", &["force", "true or false"]),
        ("config = \"other.toml\"", &["unknown key 'config'"]),
        ("seed = ", &["run.toml", "line 1"]),
        (
            "[http]\nendpoint = \"http://a:1\"",
            &["endpoint", "expected a list"],
        ),
    ] {
        let error = format!("{:#}", parsed(file, &[]).unwrap_err());
        for part in expected {
            assert!(error.contains(part), "{file}: {error}");
        }
    }
}

#[test]
fn a_file_starts_no_program() {
    for key in ["power-command", "power_command"] {
        let error = parsed(&format!("{key} = \"reboot\""), &[]).unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("run.toml") && error.contains("on the command line only"),
            "{error}"
        );
    }
    let (args, _) = parsed(
        "power-prometheus = \"http://h:9400/metrics\"",
        &["--power-command", "watts"],
    )
    .unwrap();
    assert_eq!(args.power.power_command.as_deref(), Some("watts"));
    assert!(args.power.power_prometheus.is_some());
}

/// What all commands have may stand in front of `run`, as this program puts it there for those that it starts.
#[test]
fn a_file_counts_behind_what_all_commands_have() {
    let tmp = tempfile::tempdir().unwrap();
    let path = tmp.path().join("run.toml");
    std::fs::write(&path, "scenario = \"server\"\n").unwrap();
    let line = ["ossmark", "--quiet", "run", "--config"].map(OsString::from);
    let line = line.into_iter().chain([path.into_os_string()]);
    let cli = parse(line.collect()).unwrap();
    assert!(cli.quiet);
    match cli.command {
        Asked::Run(args) => assert_eq!(args.scenario, Some(Scenario::Server)),
        other => panic!("{other:?}"),
    }
}

//! Power beside a run: what was asked for, and what came of it. Nothing here can fail or delay a run that has begun, but for
//! the few seconds in which its sources are ended.

use anyhow::{Result, bail};
use ossmark_files::Escaped;
use ossmark_telemetry::{LeftOut, Measured, POWER, Power, PowerPrometheus, Settings, Window};
use serde_json::{Value, json};

use crate::cli::PowerArgs;
use crate::output;
use crate::terminal::note;

/// Validates what was asked.
pub(super) fn settings(args: &PowerArgs) -> Result<Settings> {
    let command = args.power_command.as_deref().map(str::parse).transpose()?;
    let prometheus = args
        .power_prometheus
        .as_deref()
        .map(str::parse)
        .transpose()?;
    let prometheus = match (&args.power_metric, prometheus) {
        (Some(name), Some(exporter)) => Some(PowerPrometheus::with_metric(exporter, name)?),
        (Some(name), None) => bail!(
            "--power-metric {}: without an exporter; expected --power-prometheus URL beside it",
            Escaped(name)
        ),
        (None, exporter) => exporter,
    };
    Ok(Settings {
        command,
        prometheus,
        ..Settings::default()
    })
}

/// The command line as `run_plan.json` has it: what may hold a password is named by its source alone.
pub(super) fn shown_command(
    line: impl Iterator<Item = String>,
    settings: &Settings,
) -> Vec<String> {
    let command = settings.command.as_ref().map(ToString::to_string);
    let prometheus = settings.prometheus.as_ref().map(ToString::to_string);
    let secrets = [
        ("--power-command", command),
        ("--power-prometheus", prometheus),
    ];
    let mut shown = Vec::new();
    let mut line = line;
    while let Some(word) = line.next() {
        let secret = secrets.iter().find(|(option, _)| {
            word.strip_prefix(option)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        });
        let Some((option, source)) = secret else {
            shown.push(word);
            continue;
        };
        if word == *option {
            line.next();
        }
        // Sources are called by their option and what of it may be shown.
        shown.extend(source.clone());
    }
    shown
}

/// Writes `power.json` where anything was measured or should have been; returns what the verdict says of it.
pub(super) fn finish(
    measured: &Measured,
    window: Option<Window>,
    tokens: u64,
    dir: &std::path::Path,
) -> Option<Value> {
    let power = measured.power(window.unwrap_or(measured.whole), Some(tokens));
    let asked = |left_out: &&LeftOut| !left_out.absent;
    for left_out in power.left_out.iter().filter(asked) {
        note!(
            "ossmark: warning: power: {} is left out: {}",
            Escaped(&left_out.name),
            Escaped(
                left_out
                    .reasons
                    .first()
                    .map_or("no reason is known", String::as_str)
            )
        );
    }
    if power.sources.is_empty() && !power.left_out.iter().any(|left_out| !left_out.absent) {
        return None;
    }
    if let Err(error) = output::write_whole(&dir.join(POWER), power.to_json().as_bytes()) {
        note!("ossmark: warning: {error:#}");
    }
    Some(metrics(&power))
}

fn metrics(power: &Power) -> Value {
    json!({
        "source": power.source,
        "energy_j": power.energy_j,
        "mean_w": power.mean_w,
        "max_w": power.max_w,
        "tokens_per_joule": power.tokens_per_joule,
        "left_out": power.left_out.iter().filter(|l| !l.absent).map(|l| &l.name).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_in_the_command_line_that_is_kept() {
        let args = PowerArgs {
            power_command: Some("sh -c 'meter --password geheim'".into()),
            power_prometheus: Some("http://user:geheim@host:9400/metrics?key=geheim".into()),
            power_metric: None,
        };
        let settings = settings(&args).unwrap();
        let (command, url) = (args.power_command.unwrap(), args.power_prometheus.unwrap());
        let apart = [
            "run",
            "--power-command",
            &command,
            "--seed",
            "7",
            "--power-prometheus",
            &url,
            "--force",
        ];
        let (command, url) = (
            format!("--power-command={command}"),
            format!("--power-prometheus={url}"),
        );
        let together = ["run", &command, "--seed", "7", &url, "--force"];
        for line in [&apart[..], &together] {
            let shown = shown_command(line.iter().map(|word| (*word).to_owned()), &settings);
            assert_eq!(
                shown,
                [
                    "run",
                    "--power-command sh",
                    "--seed",
                    "7",
                    "--power-prometheus http://host:9400/metrics",
                    "--force"
                ]
            );
        }
    }

    #[test]
    fn what_cannot_be_measured_with_is_refused() {
        let command = |text: &str| PowerArgs {
            power_command: Some(text.into()),
            ..PowerArgs::default()
        };
        let url = |text: &str| PowerArgs {
            power_prometheus: Some(text.into()),
            ..PowerArgs::default()
        };
        let alone = PowerArgs {
            power_metric: Some("watts".into()),
            ..PowerArgs::default()
        };
        let metric = PowerArgs {
            power_metric: Some("2 b".into()),
            ..url("http://h:1/m")
        };
        for args in [
            command(""),
            command("'"),
            command("/no/such/program"),
            url("ftp://h"),
            url(""),
            metric,
            alone,
        ] {
            let error = settings(&args).unwrap_err().to_string();
            assert!(error.contains("expected"), "{error}");
        }
    }
}

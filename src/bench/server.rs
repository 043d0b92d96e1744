//! `ossmark serve` with the echo engine, as options say, for as long as a benchmark needs it.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

pub(super) struct EchoServer {
    child: Child,
    pub(super) url: String,
}

impl EchoServer {
    pub(super) fn start(options: &[&str]) -> Result<Self> {
        let this = std::env::current_exe().context("cannot find this program's own file")?;
        let mut child = Command::new(this)
            .args(["serve", "--engine", "echo", "--port", "0"])
            .args(options)
            .env_remove("OSSMARK_API_KEY")
            // Ctrl-C is for the bench, which ends it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start ossmark serve")?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .context("cannot read what ossmark serve prints")?;
        }
        match line.trim().strip_prefix("listening on ") {
            Some(url) => Ok(Self {
                url: url.to_owned(),
                child,
            }),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                bail!(
                    "ossmark serve did not start: expected \"listening on URL\", found {:?}",
                    line.trim()
                )
            }
        }
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

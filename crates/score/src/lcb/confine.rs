//! The hidden subcommand: a process that locks itself in and becomes the Python interpreter.
//!
//! Owns the layers that surround a worker: namespaces, a root of its own, resource limits, an empty environment. Each is taken
//! where the kernel offers it; what is active, and why the rest is not, is told to the interpreter's script, which adds what
//! belongs to a single candidate (worker/layers.py) and reports to the scorer. Runs in a process of its own, with one thread.

use std::{
    fs,
    io::Read,
    os::{
        fd::RawFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    sched::CloneFlags,
    sys::{
        prctl,
        resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit},
        signal::Signal,
    },
};
use serde_json::json;

use super::{
    pids,
    root::{self, DISK_BYTES},
    spec::{ConfinementSpec, TaskLimit},
};
use crate::{Error, Result};

/// One script, so that nothing has to be readable inside for Python to import.
const SCRIPT: &str = concat!(
    include_str!("worker/common.py"),
    include_str!("worker/judge.py"),
    include_str!("worker/candidate.py"),
    include_str!("worker/layers.py"),
    include_str!("worker/main.py"),
);
/// Enough for a program with threads; processes cannot be made at all once the filter is on.
const MAX_TASKS: u64 = 1024;
const MAX_FILES: u64 = 256;
/// Linux' default. A candidate's deep recursion ends where it ends in the reference.
const STACK_BYTES: u64 = 8 << 20;

/// Confines this process as `spec`, the one argument that the scorer appended to its helper command, says, and becomes the
/// interpreter. Returns only with the reason why it could not. Call it first thing in a process with one thread.
pub fn confine(spec: &str) -> Error {
    let run = || -> Result<std::convert::Infallible> {
        let spec: ConfinementSpec = serde_json::from_str(spec)
            .map_err(|e| sandbox(format!("`confine` is not for people: {e}")))?;
        match spec.inside {
            None => enter_namespaces(spec),
            Some(_) => lock_and_exec(spec),
        }
    };
    match run() {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn sandbox(what: String) -> Error {
    Error::Sandbox { what }
}

/// A process is in a PID namespace only when it was born there, hence a second process, which is the namespace's init.
fn enter_namespaces(mut spec: ConfinementSpec) -> Result<std::convert::Infallible> {
    // What a shell or a CI system left open in the scorer's parents is nothing for candidates.
    close_inherited();
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let others = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    let user = nix::sched::unshare(others | CloneFlags::CLONE_NEWUSER);
    // Where user namespaces are forbidden, root may still have the others.
    let entered = user.or_else(|_| nix::sched::unshare(others));
    spec.layers.user_namespace = user.is_ok();
    spec.layers.pid_namespace = entered.is_ok();
    spec.layers.network_namespace = entered.is_ok();
    spec.layers.ipc_namespace = entered.is_ok();
    if let Err(e) = user {
        spec.layers.lose("user namespace", format!("unshare: {e}"));
    }
    if let Err(e) = entered {
        for name in ["PID namespace", "network namespace", "IPC namespace"] {
            spec.layers.lose(name, format!("unshare: {e}"));
        }
        spec.layers.lose("own root", "there is no mount namespace");
        let why = "without namespaces all of the user's threads would count";
        spec.inside = Some(TaskLimit::Unbounded(why.into()));
        return lock_and_exec(spec);
    }
    if user.is_ok() {
        // Root of the namespace: it may mount and make PID namespaces in it, and is nobody new outside.
        let _ = fs::write("/proc/self/setgroups", "deny");
        let _ = fs::write("/proc/self/uid_map", format!("0 {uid} 1"));
        let _ = fs::write("/proc/self/gid_map", format!("0 {gid} 1"));
    }
    // The superuser is not bounded by RLIMIT_NPROC.
    let mut outside = None;
    spec.inside = Some(
        if user.is_ok() && !uid.is_root() && pids::tasks_are_counted_per_namespace() {
            TaskLimit::Rlimit
        } else {
            match pids::HostPidMax::open() {
                Ok(machine) => {
                    outside = Some(machine);
                    TaskLimit::PidMax
                }
                Err(why) => TaskLimit::Unbounded(why),
            }
        },
    );
    let mut arguments: Vec<_> = std::env::args_os().skip(1).collect();
    arguments.pop();
    let fail = |e: std::io::Error| sandbox(format!("/proc/self/exe cannot be started again: {e}"));
    let mut child = Command::new("/proc/self/exe")
        .args(arguments)
        .arg(serde_json::to_string(&spec).map_err(|e| sandbox(e.to_string()))?)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(fail)?;
    // Ends when the process inside has written pid_max or will not.
    let _ = child
        .stdout
        .take()
        .map(|mut pipe| pipe.read_to_end(&mut Vec::new()));
    if let Some(Err(e)) = outside.map(|machine| machine.unchanged()) {
        let _ = child.kill();
        return Err(sandbox(e.to_string()));
    }
    let status = child.wait().map_err(fail)?;
    std::process::exit(status.code().unwrap_or(128 + status.signal().unwrap_or(0)))
}

fn lock_and_exec(mut spec: ConfinementSpec) -> Result<std::convert::Infallible> {
    limit_tasks(&mut spec);
    let mut fresh = None;
    if spec.layers.pid_namespace {
        let _ = prctl::set_pdeathsig(Signal::SIGKILL);
        match root::enter(&spec.paths, &spec.directory) {
            Ok(made) => fresh = Some(made),
            Err(e) => spec.layers.lose("own root", e),
        }
        spec.layers.own_root = fresh.is_some();
    }
    let place = match spec.layers.own_root {
        true => Path::new("/"),
        false => &spec.directory,
    };
    std::env::set_current_dir(place)
        .map_err(|e| sandbox(format!("{}: {e}", spec.directory.display())))?;
    prctl::set_no_new_privs().map_err(|e| sandbox(format!("no_new_privs: {e}")))?;
    limits(&spec)?;
    let extra = root::EXTRA.into_iter().map(PathBuf::from);
    let setup = json!({
        "layers": spec.layers,
        "read": spec.paths.iter().cloned().chain(extra).collect::<Vec<_>>(),
        "devices": root::DEVICES,
        "fresh": fresh,
        "disk_bytes": DISK_BYTES,
    });
    let error = Command::new(&spec.python)
        .args(["-I", "-B", "-c", SCRIPT, &spec.role, &setup.to_string()])
        .env_clear()
        .env("OMP_NUM_THREADS", "1")
        .exec();
    Err(sandbox(format!(
        "{} cannot be executed inside: {error}",
        spec.python.display()
    )))
}

/// Closes everything but the three standard streams.
fn close_inherited() {
    let numbers: Vec<RawFd> = fs::read_dir("/proc/self/fd").map_or_else(
        |_| (3..1024).collect(),
        |open| {
            open.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
                .collect()
        },
    );
    for number in numbers.into_iter().filter(|n| *n > 2) {
        let _ = nix::unistd::close(number);
    }
}

/// Takes what bound there is (for [`TaskLimit::Rlimit`] see [`limits`]), then lets go of standard output, at which the process
/// outside reads its own pid_max back.
fn limit_tasks(spec: &mut ConfinementSpec) {
    let bounded = match &spec.inside {
        Some(TaskLimit::Rlimit) => Ok(()),
        Some(TaskLimit::PidMax) => pids::limit(),
        Some(TaskLimit::Unbounded(why)) => Err(why.clone()),
        None => Err("not inside".into()),
    };
    if let Ok(null) = fs::File::options().write(true).open("/dev/null") {
        let _ = nix::unistd::dup2_stdout(null);
    }
    spec.layers.task_limit = bounded.is_ok();
    if let Err(why) = bounded {
        spec.layers.lose("task limit", why);
    }
}

fn limits(spec: &ConfinementSpec) -> Result<()> {
    for (resource, wanted) in [
        (Resource::RLIMIT_AS, spec.memory_bytes),
        (Resource::RLIMIT_FSIZE, DISK_BYTES),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NOFILE, MAX_FILES),
        (Resource::RLIMIT_MEMLOCK, 0),
        (Resource::RLIMIT_MSGQUEUE, 0),
        (Resource::RLIMIT_STACK, STACK_BYTES),
        (
            Resource::RLIMIT_NPROC,
            match spec.inside {
                Some(TaskLimit::Rlimit) => MAX_TASKS,
                _ => RLIM_INFINITY,
            },
        ),
    ] {
        let fail = |e| sandbox(format!("{resource:?}: {e}"));
        let (_, hard) = getrlimit(resource).map_err(fail)?;
        let value = wanted.min(hard);
        setrlimit(resource, value, value).map_err(fail)?;
    }
    Ok(())
}

//! The system calls that a candidate may make: computing, its own files, threads, clocks. Pure; any thread.
//!
//! An allow list, so that a call which a later kernel adds is forbidden. What is forbidden answers ENOSYS: glibc then falls
//! back from clone3, whose flags a filter cannot see, to clone, whose flags it can; and Python raises OSError.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

#[rustfmt::skip]
const ALLOWED: &[libc::c_long] = &[
    // Files; Landlock and the mount namespace say which. Neither looks at modes, owners, times, attributes and locks: nobody
    // changes those, under whatever layers.
    libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_pread64, libc::SYS_pwrite64,
    libc::SYS_preadv, libc::SYS_pwritev, libc::SYS_close, libc::SYS_close_range, libc::SYS_fstat,
    libc::SYS_newfstatat, libc::SYS_statx, libc::SYS_lseek, libc::SYS_faccessat, libc::SYS_faccessat2,
    libc::SYS_dup, libc::SYS_dup3, libc::SYS_pipe2, libc::SYS_fsync, libc::SYS_fdatasync,
    libc::SYS_ftruncate, libc::SYS_getdents64, libc::SYS_getcwd, libc::SYS_chdir, libc::SYS_fchdir, libc::SYS_mkdirat,
    libc::SYS_unlinkat, libc::SYS_renameat, libc::SYS_renameat2, libc::SYS_linkat, libc::SYS_symlinkat,
    libc::SYS_readlinkat, libc::SYS_sendfile, libc::SYS_copy_file_range, libc::SYS_umask, libc::SYS_statfs, libc::SYS_fstatfs,
    // Memory; RLIMIT_AS says how much. No memfd and no System V shared memory, which it does not count.
    libc::SYS_mmap, libc::SYS_mprotect, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_brk,
    libc::SYS_msync,
    // Signals; which may be sent is said below.
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigpending, libc::SYS_rt_sigsuspend, libc::SYS_sigaltstack, libc::SYS_signalfd4,
    libc::SYS_restart_syscall,
    // Time.
    libc::SYS_nanosleep, libc::SYS_clock_nanosleep, libc::SYS_clock_gettime, libc::SYS_clock_getres,
    libc::SYS_gettimeofday, libc::SYS_getitimer, libc::SYS_setitimer, libc::SYS_times, libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime, libc::SYS_timerfd_gettime, libc::SYS_getrusage,
    // Threads and what they wait on.
    libc::SYS_futex, libc::SYS_set_robust_list, libc::SYS_get_robust_list, libc::SYS_set_tid_address, libc::SYS_rseq,
    libc::SYS_membarrier, libc::SYS_exit, libc::SYS_exit_group, libc::SYS_sched_yield, libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam, libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max, libc::SYS_sched_get_priority_min, libc::SYS_getcpu, libc::SYS_wait4,
    libc::SYS_waitid, libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_eventfd2,
    libc::SYS_ppoll, libc::SYS_pselect6,
    // asyncio wakes itself through a socket pair (made only below); none of these reaches an address.
    libc::SYS_recvfrom, libc::SYS_shutdown, libc::SYS_getsockopt, libc::SYS_setsockopt, libc::SYS_getsockname,
    // What it is.
    libc::SYS_getpid, libc::SYS_gettid, libc::SYS_getppid, libc::SYS_getpgid, libc::SYS_getsid, libc::SYS_getuid,
    libc::SYS_geteuid, libc::SYS_getgid, libc::SYS_getegid, libc::SYS_getresuid, libc::SYS_getresgid,
    libc::SYS_getgroups, libc::SYS_capget, libc::SYS_uname, libc::SYS_sysinfo, libc::SYS_getpriority,
    libc::SYS_getrandom, libc::SYS_getrlimit, libc::SYS_setrlimit,
];

/// Calls that other architectures never had.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const LEGACY: &[libc::c_long] = &[
    libc::SYS_stat, libc::SYS_lstat, libc::SYS_access, libc::SYS_pipe, libc::SYS_dup2, libc::SYS_mkdir,
    libc::SYS_rmdir, libc::SYS_unlink, libc::SYS_rename, libc::SYS_link, libc::SYS_symlink, libc::SYS_readlink,
    libc::SYS_alarm, libc::SYS_pause, libc::SYS_poll, libc::SYS_select,
    libc::SYS_epoll_create, libc::SYS_epoll_wait, libc::SYS_getpgrp, libc::SYS_time, libc::SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: &[libc::c_long] = &[];

const PR_SET_NAME: u64 = 15;

/// Stands for the process id of whoever installs the filter, which nobody knows before; the installer puts it in
/// (worker/layers.py has the same number).
const OWN_PID: u64 = 0x5afe_c0de;

/// What a descriptor may be asked: never whom it sends signals to, or anything of a device's.
const FCNTL: [libc::c_int; 5] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
];
/// TCGETS2; libc knows it on few targets.
const TCGETS2: u64 = 0x802c_542a;
#[allow(clippy::unnecessary_cast, reason = "they are c_int with musl")]
const IOCTL: [u64; 7] = [
    libc::TCGETS as u64,
    TCGETS2,
    libc::TIOCGWINSZ as u64,
    libc::FIONREAD as u64,
    libc::FIONBIO as u64,
    libc::FIOCLEX as u64,
    libc::FIONCLEX as u64,
];

/// The filter as the bytes that prctl(PR_SET_SECCOMP) takes, in hexadecimal; `None` on an architecture that seccompiler does
/// not know.
pub(super) fn hex() -> Option<String> {
    let program = compile().ok()?;
    let mut text = String::with_capacity(program.len() * 16);
    for op in program {
        let (code, k) = (op.code.to_ne_bytes(), op.k.to_ne_bytes());
        for byte in [code[0], code[1], op.jt, op.jf, k[0], k[1], k[2], k[3]] {
            text.push_str(&format!("{byte:02x}"));
        }
    }
    Some(text)
}

fn compile() -> Result<BpfProgram, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED
        .iter()
        .chain(LEGACY)
        .map(|&call| (call, Vec::new()))
        .collect();
    for (call, ways) in conditional()? {
        let ways = ways.into_iter().map(SeccompRule::new);
        rules.insert(call, ways.collect::<Result<_, _>>()?);
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Errno(libc::ENOSYS as u32),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    Ok(filter.try_into()?)
}

/// A call and the ways that it is allowed in: any will do, all conditions of a way must hold.
type Conditional = (libc::c_long, Vec<Vec<SeccompCondition>>);

/// Calls that are allowed with some arguments.
fn conditional() -> Result<Vec<Conditional>, seccompiler::Error> {
    use SeccompCmpArgLen::{Dword, Qword};
    use SeccompCmpOp::{Eq, MaskedEq};
    let when = SeccompCondition::new;
    let thread = libc::CLONE_THREAD as u64;
    let mut calls = vec![
        // A thread, never a process.
        (
            libc::SYS_clone,
            vec![vec![when(0, Qword, MaskedEq(thread), thread)?]],
        ),
        // Signals to threads of its own.
        (libc::SYS_tgkill, vec![vec![when(0, Dword, Eq, OWN_PID)?]]),
        (
            libc::SYS_socketpair,
            vec![vec![when(0, Qword, Eq, libc::AF_UNIX as u64)?]],
        ),
        // To the other end of a pair, never to an address.
        (libc::SYS_sendto, vec![vec![when(4, Qword, Eq, 0)?]]),
        // Its own limits and processors, never another process's.
        (libc::SYS_prlimit64, vec![vec![when(0, Qword, Eq, 0)?]]),
        (
            libc::SYS_sched_setaffinity,
            vec![vec![when(0, Dword, Eq, 0)?]],
        ),
        (
            libc::SYS_prctl,
            vec![vec![when(0, Qword, Eq, PR_SET_NAME)?]],
        ),
    ];
    let mut fcntl = Vec::new();
    for command in FCNTL {
        fcntl.push(vec![when(1, Dword, Eq, command as u64)?]);
    }
    // Not O_ASYNC, with which the kernel sends signals.
    fcntl.push(vec![
        when(1, Dword, Eq, libc::F_SETFL as u64)?,
        when(2, Dword, MaskedEq(libc::O_ASYNC as u64), 0)?,
    ]);
    calls.push((libc::SYS_fcntl, fcntl));
    let mut ioctl = Vec::new();
    for request in IOCTL {
        ioctl.push(vec![when(1, Dword, Eq, request)?]);
    }
    calls.push((libc::SYS_ioctl, ioctl));
    // Truncating takes the right to write, which Landlock sees; before its third version it did not see truncation by itself.
    // The access mode 3, neither to read nor to write, takes no right at all and opens any file or device: nobody needs it.
    #[cfg(target_arch = "x86_64")]
    let opens = [(libc::SYS_openat, 2), (libc::SYS_open, 1)];
    #[cfg(not(target_arch = "x86_64"))]
    let opens = [(libc::SYS_openat, 2)];
    for (call, flags) in opens {
        let reads = MaskedEq((libc::O_ACCMODE | libc::O_TRUNC) as u64);
        let access = MaskedEq(libc::O_ACCMODE as u64);
        calls.push((
            call,
            vec![
                vec![when(flags, Dword, reads, libc::O_RDONLY as u64)?],
                vec![when(flags, Dword, access.clone(), libc::O_WRONLY as u64)?],
                vec![when(flags, Dword, access, libc::O_RDWR as u64)?],
            ],
        ));
    }
    Ok(calls)
}

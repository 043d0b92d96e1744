//! What a program must not do to the machine it runs on, under each set of layers that is accepted: files that are not its own,
//! processes that are not its own, and the kernel's settings.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::{Command, Stdio},
};

use libtest_mimic::{Failed, Trial};
use ossmark_score::lcb::probe;

use crate::{
    deny::without,
    hostile::{attack_with, kept_out},
    layers::{ACCEPTED, left},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("host_pid_max_stays", pid_max),
        Trial::test("host_descriptors_do_not_come_in", descriptors),
    ];
    for words in ACCEPTED {
        trials.push(Trial::test(
            format!("host_files_stay_without_{words}"),
            move || files(words),
        ));
        trials.push(Trial::test(
            format!("host_processes_stay_without_{words}"),
            move || processes(words),
        ));
    }
    trials
}

/// Every call that changes a file or its name, by path and, where one can be had, by descriptor. Numbers are x86-64's; those
/// above 424 are everybody's, and elsewhere the others are left to Python.
const FILES: &str = r#"
import os, posix, ctypes, struct
L = ctypes.CDLL(None, use_errno=True)
HOME = HOME_PATH
done = []
def attempt(name, act, *args):
    try: result = act(*args)
    except (OSError, TypeError, AttributeError): return
    if not (type(result) is int and result < 0): done.append(name)
def calls(path):
    p, null = path.encode(), ctypes.c_char_p(None)
    at = -100
    now = struct.pack('<qqqq', 1, 1, 1, 1)
    x = 'u.x'.encode()
    own = b'own'
    yield 'posix.chmod', posix.chmod, path, 0o777
    yield 'posix.chown', posix.chown, path, os.getuid(), os.getgid()
    yield 'posix.utime', posix.utime, path, (1, 1)
    yield 'posix.truncate', posix.truncate, path, 0
    yield 'posix.unlink', posix.unlink, path
    yield 'posix.rmdir', posix.rmdir, path
    yield 'posix.rename', posix.rename, path, path + '.renamed'
    yield 'rename in', posix.rename, path, 'taken'
    yield 'posix.link', posix.link, path, path + '.linked'
    yield 'link in', posix.link, path, 'linked'
    yield 'posix.symlink', posix.symlink, '/etc', path + '.symlink'
    yield 'posix.mkdir', posix.mkdir, path + '.dir'
    yield 'posix.mkfifo', posix.mkfifo, path + '.fifo'
    yield 'posix.setxattr', posix.setxattr, path, 'user.x', b'1'
    for name, flags in dict(create=os.O_CREAT | os.O_WRONLY).items():
        yield name, posix.open, path + '.created', flags
    for name, flags in dict(trunc=os.O_WRONLY | os.O_TRUNC, read_trunc=os.O_RDONLY | os.O_TRUNC, odd_trunc=3 | os.O_TRUNC, odd=3,
                            write=os.O_WRONLY, both=os.O_RDWR, append=os.O_APPEND | os.O_WRONLY,
                            read=os.O_RDONLY, temporary=os.O_TMPFILE | os.O_RDWR).items():
        yield name, posix.open, path, flags
    yield 'fchmodat2', L.syscall, 452, at, p, 0o777, 0
    yield 'setxattrat', L.syscall, 463, at, p, 0, x, struct.pack('<QII', 0, 0, 0), 16
    yield 'removexattrat', L.syscall, 466, at, p, 0, x
    yield 'file_setattr', L.syscall, 469, at, p, bytes(24), 24, 0
    yield 'openat2', L.syscall, 437, at, p, struct.pack('<QQQ', os.O_RDONLY, 0, 0), 24
    yield 'mount_setattr', L.syscall, 442, at, p, 0, bytes(32), 32
    if os.uname().machine == 'x86_64':
        for name, number, *args in [('chmod', 90, p, 0o777), ('fchmodat', 268, at, p, 0o777), ('chown', 92, p, 0, 0),
                ('lchown', 94, p, 0, 0), ('fchownat', 260, at, p, 0, 0, 0), ('utime', 132, p, now), ('utimes', 235, p, now),
                ('utimensat', 280, at, p, now, 0), ('futimesat', 261, at, p, now), ('setxattr', 188, p, b'user.x', x, 1, 0),
                ('lsetxattr', 189, p, b'user.x', x, 1, 0), ('removexattr', 197, p, b'user.x'), ('truncate', 76, p, 0),
                ('creat', 85, p, 0o600), ('mknod', 133, p + b'.node', 0o100600, 0), ('open', 2, p, os.O_RDONLY | os.O_TRUNC, 0),
                ('mount', 165, p, p, null, 4096, null)]:
            yield name, L.syscall, number, *args
for path in (HOME + '/victim', HOME + '/empty', HOME):
    for name, act, *args in calls(path):
        if name == 'read' and path == HOME: continue
        attempt(name + ' ' + path, act, *args)
# By descriptor: of what may be opened at all.
for place in ('/dev/null', os.__file__, os.path.dirname(os.__file__)):
    try: handle = posix.open(place, os.O_RDONLY)
    except OSError: continue
    attempt('fchmod', posix.fchmod, handle, os.fstat(handle).st_mode & 0o7777)
    attempt('fchown', posix.fchown, handle, -1, -1)
    attempt('futime', lambda: posix.utime(handle, ns=(os.fstat(handle).st_atime_ns, os.fstat(handle).st_mtime_ns)))
    attempt('fsetxattr', posix.setxattr, handle, 'user.x', b'1')
    # Were the sandbox broken, this must not spoil the machine: the values are those that are there.
    was = os.stat(place)
    attempt('chmod ' + place, posix.chmod, place, was.st_mode & 0o7777)
    attempt('utime ' + place, lambda: posix.utime(place, ns=(was.st_atime_ns, was.st_mtime_ns)))
    attempt('chown ' + place, posix.chown, place, -1, -1)
if done: print('SECRET'); raise Exception('did ' + ', '.join(done)[:200])
raise Exception('kept out')
"#;

fn files(words: &str) -> Result<(), Failed> {
    let Some(layers) = left(words) else {
        return Ok(());
    };
    // Not beside what a program may make in a `/tmp` of its own.
    let around = tempfile::tempdir()?;
    let home = tempfile::tempdir_in(around.path())?;
    fs::set_permissions(around.path(), fs::Permissions::from_mode(0o777))?;
    // Whoever runs the program would be allowed to, whatever its user id is.
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777))?;
    fs::write(home.path().join("victim"), "precious")?;
    fs::create_dir(home.path().join("empty"))?;
    let before = state(home.path())?;
    let null = fs::metadata("/dev/null")?;
    let code = FILES.replace("HOME_PATH", &format!("{:?}", home.path()));
    let message = kept_out(&without(words), &code);
    assert_eq!(state(home.path())?, before, "{layers:?}");
    let now = fs::metadata("/dev/null")?;
    assert_eq!((null.mode(), null.mtime()), (now.mode(), now.mtime()));
    message
}

/// Names, modes, owners, times of change (which every change of anything moves), contents.
fn state(home: &Path) -> std::io::Result<Vec<String>> {
    let mut found = Vec::new();
    for path in [home.to_owned(), home.join("victim"), home.join("empty")] {
        let m = fs::symlink_metadata(&path)?;
        let size = if m.is_file() { m.len() } else { 0 };
        found.push(format!(
            "{path:?} {:o} {} {} {}.{} {} {size}",
            m.mode(),
            m.uid(),
            m.nlink(),
            m.ctime(),
            m.ctime_nsec(),
            m.mtime(),
        ));
    }
    let mut names: Vec<_> = fs::read_dir(home)?
        .map(|e| e.map(|e| format!("{:?}", e.file_name())))
        .collect::<Result<_, _>>()?;
    names.sort();
    found.extend(names);
    found.push(fs::read_to_string(home.join("victim"))?);
    Ok(found)
}

/// Every way to have the kernel send a signal to, or to change, another process.
const PROCESSES: &str = r#"
import os, ctypes, struct, socket, fcntl, signal
L = ctypes.CDLL(None, use_errno=True)
x86 = os.uname().machine == 'x86_64'
done = []
def attempt(name, result):
    if result >= 0: done.append(name)
def call(name, number, *args):
    attempt(name, L.syscall(number, *args))
one, other = socket.socketpair()
reader, writer = os.pipe()
for pid in (VICTIM, os.getppid(), -1, 0, -VICTIM, 1):
    kill, tkill, tgkill, queue, tqueue = (62, 200, 234, 129, 297) if x86 else (129, 130, 131, 138, 240)
    info = struct.pack('<iii', signal.SIGTERM, 0, -1) + bytes(116)
    # Were the sandbox broken, this test must not end the machine: only the victim gets a signal that does something.
    for sign in (0, signal.SIGTERM) if pid == VICTIM else (0,):
        call('kill', kill, pid, sign)
        call('tkill', tkill, pid, sign)
        call('tgkill', tgkill, pid, pid, sign)
        call('tgkill wide', tgkill, ctypes.c_long(pid + (1 << 32)), pid, sign)
        call('queue', queue, pid, sign, info)
        call('tqueue', tqueue, pid, pid, sign, info)
    handle = L.syscall(434, pid, 0)
    if handle >= 0: done.append('pidfd_open'); call('pidfd_send_signal', 424, handle, 0, None, 0)
    call('pidfd_getfd', 438, pid, 0, 0)
    call('process_madvise', 440, pid, 0, 0, 0, 0)
    call('process_mrelease', 448, pid, 0)
    for name, number, *args in ((('ptrace', 101, 16, pid, 0, 0), ('setpriority', 141, 0, pid, 0), ('setpgid', 109, pid, 0),
            ('sched_setscheduler', 144, pid, 0, bytes(4)), ('sched_setattr', 314, pid, bytes(48), 0), ('ioprio_set', 251, 1, pid, 0),
            ('migrate_pages', 256, pid, 1, bytes(8), bytes(8)), ('move_pages', 279, pid, 0, 0, 0, 0, 0), ('kcmp', 312, pid, pid, 0, 0, 0),
            ('process_vm_readv', 310, pid, 0, 0, 0, 0, 0), ('timer_create', 222, 1, bytes(64), bytes(8)), ('pdeathsig', 157, 1, 9),
            ('mq_notify', 244, 0, 0)) if x86 else ()):
        if pid != 0: call(name, number, *args)
    if pid > 0:
        call('sched_setaffinity', 203 if x86 else 122, pid, 8, b'\xff' * 8)
        call('prlimit', 302 if x86 else 261, pid, 7, bytes(16), None)
    # The kernel sends these by itself when something comes.
    for fd in (one.fileno(), reader, 0):
        attempt('F_SETOWN', L.fcntl(fd, 8, pid))
        attempt('F_SETSIG', L.fcntl(fd, 10, signal.SIGCONT))
        attempt('F_SETOWN_EX', L.fcntl(fd, 15, struct.pack('<ii', 1, pid)))
        attempt('FIOSETOWN', L.ioctl(fd, 0x8901, struct.pack('<i', pid)))
        attempt('SIOCSPGRP', L.ioctl(fd, 0x8902, struct.pack('<i', pid)))
        attempt('FIOASYNC', L.ioctl(fd, 0x5452, struct.pack('<i', 1)))
        attempt('O_ASYNC', L.fcntl(fd, 4, 0o20000))
        attempt('F_SETLEASE', L.fcntl(fd, 1024, 0))
        attempt('F_NOTIFY', L.fcntl(fd, 1026, 2))
        attempt('TIOCSTI', L.ioctl(fd, 0x5412, b'\x03'))
other.send(b'x'); os.write(writer, b'x')
if done: print('SECRET'); raise Exception('did ' + ', '.join(sorted(set(done)))[:200])
raise Exception('kept out')
"#;

fn processes(words: &str) -> Result<(), Failed> {
    if left(words).is_none() {
        return Ok(());
    }
    let mut victim = Command::new("sleep")
        .arg("1000")
        .stdin(Stdio::null())
        // Whoever reads this test's output waits for nobody that a failure leaves behind.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let code = PROCESSES.replace("VICTIM", &victim.id().to_string());
    let result = kept_out(&without(words), &code);
    let alive = victim.try_wait()?.is_none();
    victim.kill()?;
    victim.wait()?;
    assert!(alive, "it was killed");
    result
}

/// The machine's own number, read while a worker is up and after: a namespace's number is none of its business.
fn pid_max() -> Result<(), Failed> {
    let read = || fs::read_to_string("/proc/sys/kernel/pid_max");
    let before = read()?;
    for words in ACCEPTED {
        let (_, layers) = probe(&without(words))?;
        assert_eq!(read()?, before, "{layers:?}");
        attack_with(&without(words), &[("asks", "print(1)")]);
        assert_eq!(read()?, before, "{layers:?}");
    }
    Ok(())
}

/// A descriptor that whoever started the scorer left open (a CI system's log, a lock file) is not there inside.
fn descriptors() -> Result<(), Failed> {
    let file = tempfile::tempfile()?;
    // Not close-on-exec, as if a shell had opened it; a number that no worker would have by itself.
    let inherited = nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_DUPFD(200))?;
    let code = "import os, stat\nfound = []\nfor fd in range(3, 256):\n    try: found.append(stat.S_ISREG(os.fstat(fd).st_mode))\n    \
                except OSError: pass\nif any(found): print('SECRET')\nelse: raise Exception('kept out')\n";
    let results: Vec<_> = ["", "namespaces"]
        .map(|words| kept_out(&without(words), code))
        .into();
    nix::unistd::close(inherited)?;
    results.into_iter().collect()
}

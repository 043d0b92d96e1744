//! What one program leaves behind, the next must not find: under each set of layers that is accepted, everything that a program
//! can see of its surroundings looks the same after a program that changed all it could as before.

use libtest_mimic::{Failed, Trial};
use ossmark_score::lcb::{Layers, Settings};

use crate::{
    deny::without,
    hostile::attack_with,
    layers::{ACCEPTED, left},
    support::{grade, problem, problem_file},
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("covert_running_programs_share_no_lock", locks),
        Trial::test("covert_answer_does_not_reach_the_next_program", smuggled),
    ];
    for words in ACCEPTED {
        let name = format!("covert_nothing_is_left_without_{words}");
        trials.push(Trial::test(name, move || nothing_left(words)));
    }
    trials
}

/// Everything that can be looked at and does not change by itself. Where a program has no PID namespace and no file system of
/// its own, process ids and what the machine's disk has left are other people's, too (docs/scoring.md).
const LOOK: &str = r#"
import os, posix, fcntl, signal, ctypes, threading, json, sys
L = ctypes.CDLL(None, use_errno=True)
MAGIC = 987654321
seen = {}
def look(name, act, *args):
    try: seen[name] = repr(act(*args))
    except Exception as error: seen[name] = type(error).__name__ + str(getattr(error, 'errno', ''))
def status(path):
    s = os.stat(path)
    return oct(s.st_mode), s.st_nlink, s.st_uid, s.st_gid, s.st_size, abs(s.st_mtime - MAGIC) < 9, abs(s.st_atime - MAGIC) < 9
for path in ('.', '..', '/', '/tmp', '/dev', '/dev/null', '/dev/urandom', os.__file__, os.path.dirname(os.__file__), sys.executable):
    if path != '/tmp' or OWN_ROOT: look('status ' + path, status, path)
for path in ('.', '/tmp', '..', '/dev', '/', '/dev/shm', '/proc'):
    look('list ' + path, lambda: sorted(os.listdir(path)))
for fd in range(64):
    look('flags %d' % fd, fcntl.fcntl, fd, fcntl.F_GETFL)
    look('descriptor %d' % fd, fcntl.fcntl, fd, fcntl.F_GETFD)
    look('owner %d' % fd, fcntl.fcntl, fd, fcntl.F_GETOWN)
    look('signal %d' % fd, fcntl.fcntl, fd, 11)
    look('lease %d' % fd, fcntl.fcntl, fd, 1025)
    look('offset %d' % fd, os.lseek, fd, 0, 1)
    look('kind %d' % fd, lambda: oct(os.fstat(fd).st_mode))
look('umask', os.umask, 0o22)
look('signals blocked', signal.pthread_sigmask, 0, [])
look('signals pending', signal.sigpending)
for number in range(1, 65):
    look('handler %d' % number, lambda: str(signal.getsignal(number))[:20])
look('timers', lambda: (signal.getitimer(2), signal.getitimer(1)))
limit = (ctypes.c_uint64 * 2)()
for number in range(16):
    L.prlimit64(0, number, None, limit); seen['limit %d' % number] = list(limit)
look('processors', os.sched_getaffinity, 0)
look('policy', os.sched_getscheduler, 0)
look('nice', os.getpriority, 0, 0)
look('environment', lambda: sorted(os.environ.items()))
look('host', os.uname)
look('users', lambda: (os.getresuid(), os.getresgid(), os.getgroups()))
look('directory', posix.getcwd if OWN_ROOT else int)
look('threads', threading.active_count)
look('modules', lambda: hasattr(json, 'left'))
look('trace', lambda: (sys.gettrace(), sys.getrecursionlimit()))
if OWN_ROOT:
    look('pid', lambda: (os.getpid(), os.getppid(), os.getsid(0)))
    look('disk', lambda: (os.statvfs('.').f_bfree, os.statvfs('.').f_ffree, os.statvfs('.').f_blocks))
for name in ('x', 'left', 'user.left'):
    look('attribute ' + name, os.getxattr, '.', 'user.' + name)
for kind in ((29, 0x1234, 0, 0), (64, 0x1234, 0, 0), (68, 0x1234, 0), (240, b'left', 0, 0, None), (250, 10, b'user', b'left', 0)):
    look('ipc %d' % kind[0], L.syscall, *kind)
"#;

/// Changes what it can, and goes on whatever fails.
const LEAVE: &str = r#"
import os, posix, fcntl, signal, ctypes, threading, json, sys, socket
L = ctypes.CDLL(None, use_errno=True)
MAGIC = 987654321
def attempt(act, *args):
    try: act(*args)
    except Exception: pass
def fill(place):
    for n in range(300): attempt(lambda: posix.mkdir(place + '/' + 'long' * 50 + str(n)))
    for n in range(0, 300, 2): attempt(lambda: posix.rmdir(place + '/' + 'long' * 50 + str(n)))
    attempt(lambda: posix.close(posix.open(place + '/left', os.O_CREAT | os.O_WRONLY)))
    attempt(lambda: posix.mkdir(place + '/sealed', 0))
    attempt(posix.symlink, '/', place + '/link')
    attempt(posix.mkfifo, place + '/fifo')
    attempt(posix.setxattr, place, 'user.left', b'1')
# Were the sandbox broken, this must not spoil the machine: `/tmp` only where it is the program's own.
mine = ['.', '/tmp'] if os.path.samefile('..', '/tmp') else ['.']
for place in mine + ['..']: fill(place)
here = '.'
for n in range(1200):
    try: posix.mkdir('d'); posix.chdir('d')
    except Exception: break
for handle in range(64):
    attempt(fcntl.fcntl, handle, fcntl.F_SETFL, os.O_APPEND | os.O_NONBLOCK | 0o20000)
    attempt(fcntl.fcntl, handle, fcntl.F_SETOWN, os.getpid())
    attempt(fcntl.fcntl, handle, 10, signal.SIGUSR1)
    attempt(fcntl.fcntl, handle, fcntl.F_SETFL, os.O_APPEND | os.O_NONBLOCK)
    attempt(fcntl.flock, handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    attempt(fcntl.fcntl, handle, 1024, 0)
    attempt(os.lseek, handle, 7, 0)
for place in mine + ['..']:
    attempt(posix.utime, place, (MAGIC, MAGIC))
    try: handle = posix.open(place, os.O_RDONLY)
    except OSError: continue
    attempt(posix.utime, handle, (MAGIC, MAGIC))
for place in mine:
    attempt(posix.chmod, place, 0)
    attempt(posix.chown, place, 1, 1)
os.umask(0o777)
attempt(posix.sched_setaffinity, 0, {min(posix.sched_getaffinity(0))})
attempt(posix.nice, 5)
attempt(L.prlimit64, 0, 7, (ctypes.c_uint64 * 2)(64, 64), None)
attempt(L.prlimit64, 0, 1, (ctypes.c_uint64 * 2)(4096, 4096), None)
attempt(lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN))
attempt(lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGINT}))
attempt(lambda: signal.setitimer(signal.ITIMER_PROF, 1000))
attempt(L.sethostname, b'left', 4)
for kind in ((29, 0x1234, 4096, 0o1666), (64, 0x1234, 1, 0o1666), (68, 0x1234, 0o1666), (240, b'left', 0o102, 0o666, None),
             (248, b'user', b'left', b'1', 1, -3), (250, 1, b'left'), (319, b'left', 0), (434, 1, 0), (160, 7, bytes(16))):
    attempt(L.syscall, *kind)
try: socket.socket(socket.AF_UNIX).bind('\0left')
except OSError: pass
json.left = 1
attempt(os.environ.__setitem__, 'left', '1')
threading.Thread(target=threading.Event().wait, daemon=True).start()
raise Exception('left')
"#;

fn nothing_left(words: &str) -> Result<(), Failed> {
    let Some(layers) = left(words) else {
        return Ok(());
    };
    let seen = |key: &str| look(&layers, key);
    let settings = Settings {
        timeout_s: 20,
        ..without(words)
    };
    // Part by part, since a message is short.
    let parts = [
        "status",
        "list",
        "flags",
        "descriptor",
        "owner",
        "signal",
        "lease",
        "offset",
        "kind",
        "umask",
        "handler",
        "timers",
        "limit",
        "processors",
        "policy",
        "nice",
        "environment",
        "host",
        "users",
        "directory",
        "threads",
        "modules",
        "trace",
        "pid",
        "disk",
        "attribute",
        "ipc",
    ];
    let looks: Vec<String> = parts.iter().map(|part| seen(part)).collect();
    let mut codes: Vec<(&str, &str)> = looks.iter().map(|l| ("asks", l.as_str())).collect();
    codes.push(("asks", LEAVE));
    codes.extend(looks.iter().map(|l| ("asks", l.as_str())));
    let messages: Vec<_> = attack_with(&settings, &codes)
        .into_iter()
        .map(|v| v.message.unwrap_or_default())
        .collect();
    let (before, rest) = messages.split_at(parts.len());
    assert!(rest[0].contains("left"), "it did not get far: {}", rest[0]);
    for ((part, before), after) in parts.iter().zip(before).zip(&rest[1..]) {
        assert!(before.contains("seen"), "{part}: {before}");
        assert_eq!(before, after, "{part}");
    }
    Ok(())
}

fn look(layers: &Layers, part: &str) -> String {
    let own_root = if layers.own_root { "True" } else { "False" };
    let body = LOOK.replace("OWN_ROOT", own_root);
    // Whole when it is short; a digest tells two apart in any case.
    format!(
        "{body}\nimport hashlib\npart = [v for k, v in sorted(seen.items()) if k.startswith({part:?})]\ntext = repr(part)\n\
         raise Exception('seen ' + hashlib.sha256(text.encode()).hexdigest()[:16] + text[:180])\n"
    )
}

/// Two programs that run at the same time see the same interpreter's files: no lock on those.
fn locks() -> Result<(), Failed> {
    let code = r#"
import fcntl, os
done = []
for place in (os.__file__, os.path.dirname(os.__file__), '/dev/null', '.', '/'):
    try: handle = os.open(place, os.O_RDONLY)
    except OSError: continue
    for act in (lambda: fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB), lambda: fcntl.lockf(handle, fcntl.LOCK_SH | fcntl.LOCK_NB),
                lambda: fcntl.fcntl(handle, 37, bytes(32)), lambda: fcntl.fcntl(handle, 1024, 0)):
        try: act(); done.append(place)
        except OSError: pass
if done: print('SECRET')
else: raise Exception('kept out')
"#;
    for words in ACCEPTED {
        if left(words).is_some() {
            crate::hostile::kept_out(&without(words), code)?;
        }
    }
    Ok(())
}

/// A program that is told the expected value (because its own class decides) hands it on by whatever survives it; and one that
/// spoils what it may does not spoil the next one's files.
fn smuggled() -> Result<(), Failed> {
    let tells = r#"
import posix, os, fcntl
class Tells:
    def __eq__(self, other):
        for place in ('/tmp', '.') if os.path.samefile('/tmp', '..') else ('.',):
            for act in (lambda: posix.utime(place, ns=(int(other), int(other))), lambda: posix.mkdir(place + '/' + other),
                        lambda: posix.chmod(place, int(other) & 0o777), lambda: posix.setxattr(place, 'user.left', other.encode())):
                try: act()
                except OSError: pass
        return False
    def __str__(self): raise ValueError
def f(x): return Tells()
"#;
    let asks = r#"
import posix
def f(x):
    for place in ('/tmp', '.', '..'):
        try: names = [n for n in posix.listdir(place) if n.isdigit()]
        except OSError: names = []
        if names: return names[0]
        if str(posix.stat(place).st_mtime_ns) == '8461937025': return '8461937025'
    return 'nothing'
"#;
    let spoils = "import posix\nfor act in (lambda: posix.chmod('.', 0), lambda: posix.chmod('/tmp' if posix.stat('/tmp')[1:3] == posix.stat('..')[1:3] else '.', 0), lambda: posix.rmdir('.'), lambda: posix.rmdir(posix.getcwd())):\n    \
                  try: act()\n    except OSError: pass\nprint(1)";
    let works = "import os\ndef f(x):\n    fd = os.open('scratch', os.O_CREAT | os.O_RDWR)\n    os.write(fd, b'7')\n    return 7";
    let (problems, _file) = problem_file(&[
        problem("calls", Some("f"), &[("1", r#""8461937025""#)]),
        problem("asks", None, &[("x\n", "8461937025")]),
        problem("file", Some("f"), &[("1", "7")]),
    ]);
    let codes = [
        ("calls", tells),
        ("calls", asks),
        ("asks", spoils),
        ("file", works),
    ];
    for words in ACCEPTED {
        if left(words).is_none() {
            continue;
        }
        let mut settings = without(words);
        settings.workers = 1;
        settings.timeout_s = 20;
        let (verdicts, _) = grade(&problems, &codes, &settings);
        let passed: Vec<_> = verdicts.iter().map(|v| v.passed).collect();
        assert_eq!(passed, [false, false, false, true], "{verdicts:?}");
        assert_eq!(verdicts[1].error_code, Some(-2), "{verdicts:?}");
    }
    Ok(())
}

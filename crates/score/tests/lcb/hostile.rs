//! Programs that attack: each must fail to do what it tries, end in time, and leave the scorer and the next program alone.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use libtest_mimic::{Failed, Trial};
use ossmark_score::lcb::{Layers, Problems, Settings, Verdict};

use crate::support::{grade, problem, problem_file, settings};

/// The answer that no program is told; a program that prints it without having been asked has stolen it.
pub(crate) const SECRET: &str = "8461937025";
const HONEST: &str = "print(input()[::-1])";

/// Tests of what only one layer can keep from happening are left out where the kernel has that layer not.
pub(crate) fn trials(layers: &Layers) -> Vec<Trial> {
    let forgeries: &[(&str, &str)] = &[
        ("channel_frames", FORGE_FRAMES),
        ("channel_of_call", FORGE_CALL_FRAMES),
        ("exit_0", "import os\nos._exit(0)"),
        ("patched_comparison", PATCHED),
        ("equal_to_everything", EQUAL),
        ("expected_in_memory", SEARCH_MEMORY),
    ];
    let mut trials: Vec<_> = forgeries
        .iter()
        .map(|&(name, code)| Trial::test(format!("forgery_{name}"), move || forgery(code)))
        .collect();
    // Each prints the secret if, and only if, it succeeds.
    let attempts: &[(&str, &str)] = &[
        ("open_a_socket", SOCKET),
        ("execute_a_program", EXEC),
        ("fork", FORK),
        ("see_other_processes", PROCESSES),
        ("signal_the_worker", SIGNAL),
        ("leave_the_sandbox", LEAVE),
        ("write_into_the_interpreter", WRITE_INTERPRETER),
        ("fill_the_disk", FILL_DISK),
        ("allocate_more_than_its_memory", MEMORY),
        ("see_the_environment", ENVIRONMENT),
        ("see_the_command_line", COMMAND_LINE),
    ];
    trials.extend(
        attempts
            .iter()
            .map(|&(name, code)| Trial::test(format!("cannot_{name}"), move || cannot(code))),
    );
    trials.extend([
        Trial::test("cannot_read_or_write_the_hosts_files", hosts_files),
        Trial::test("cannot_connect_to_the_host", hosts_network),
        Trial::test("cannot_outlive_its_limit", outlive),
        Trial::test("cannot_stop_the_scorer", stop_the_scorer),
        Trial::test("always_equal_object_of_a_call_is_marked", own_equality),
        Trial::test("thread_bomb_ends", thread_bomb),
    ]);
    for trial in &mut trials {
        let there = match trial.name() {
            "cannot_see_other_processes" => layers.candidate_pid_namespace,
            "thread_bomb_ends" => layers.user_namespace,
            _ => true,
        };
        if !there {
            let name = trial.name().to_owned();
            *trial = Trial::test(name, || Ok(())).with_ignored_flag(true);
        }
    }
    trials
}

/// "asks" has a secret answer to an unrelated input; "calls" the same as a function; "honest" tells whether all still works.
fn problems() -> (Problems, tempfile::NamedTempFile) {
    problem_file(&[
        problem("asks", None, &[("x\n", SECRET), ("y\n", SECRET)]),
        problem("calls", Some("f"), &[("1", SECRET)]),
        problem("honest", None, &[("abc\n", "cba"), ("de\n", "ed")]),
    ])
}

/// Runs the programs one after another on one worker, then an honest one; gives their verdicts.
fn attack(codes: &[(&str, &str)], limit: Duration) -> Vec<Verdict> {
    let start = Instant::now();
    let verdicts = attack_with(&settings(), codes);
    assert!(start.elapsed() < limit, "took {:?}", start.elapsed());
    verdicts
}

/// The same with these settings, without looking at the clock.
pub(crate) fn attack_with(settings: &Settings, codes: &[(&str, &str)]) -> Vec<Verdict> {
    let mut settings = settings.clone();
    settings.workers = 1;
    let mut all = codes.to_vec();
    all.push(("honest", HONEST));
    let (problems, _file) = problems();
    let (mut verdicts, _) = grade(&problems, &all, &settings);
    let honest = verdicts.pop().expect("the honest one");
    assert!(honest.passed, "the next program suffered: {honest:?}");
    verdicts
}

fn forgery(code: &str) -> Result<(), Failed> {
    for problem in ["asks", "calls"] {
        let verdict = attack(&[(problem, code)], Duration::from_secs(60)).remove(0);
        assert!(!verdict.passed, "{problem}: {verdict:?}");
    }
    Ok(())
}

fn cannot(code: &str) -> Result<(), Failed> {
    kept_out(&settings(), code)
}

/// The program prints SECRET if it can do what it tries.
pub(crate) fn kept_out(settings: &Settings, code: &str) -> Result<(), Failed> {
    let code = code.replace("SECRET", SECRET);
    // Enough for what it tries, on a busy machine as well.
    let settings = Settings {
        timeout_s: 20,
        ..settings.clone()
    };
    let verdict = attack_with(&settings, &[("asks", &code)]).remove(0);
    assert!(!verdict.passed, "it did it: {verdict:?}");
    // It must have come to its end without doing it, or a mistake in it would pass this test for ever.
    let message = verdict.message.clone().unwrap_or_default();
    assert!(message.contains("kept out"), "{verdict:?}");
    Ok(())
}

const FORGE_FRAMES: &str = r#"
import os, struct
def frame(b): return struct.pack('<I', len(b)) + b
junk = frame(b'O6') + frame(b'R{"append":[true]}') + frame(b'V1') + frame(b'D') + frame(b'L') + b'[true, true]\n' * 99
for fd in range(256):
    try: os.write(fd, junk)
    except OSError: pass
os._exit(0)
"#;

const FORGE_CALL_FRAMES: &str = r#"
import os, struct
def f(x):
    def frame(b): return struct.pack('<I', len(b)) + b
    for fd in range(3, 256):
        try: os.write(fd, frame(b'Vtrue') + frame(b'V1') + frame(b'D'))
        except OSError: pass
    os._exit(0)
f(1)
"#;

const PATCHED: &str = r#"
import sys, json, io, decimal, builtins
class Always:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def split(self, *a): return [self]
    def strip(self, *a): return self
    def decode(self, *a): return self
    def encode(self, *a): return b''
    def __len__(self): return 1
    def __iter__(self): return iter([self])
decimal.Decimal = lambda *a: 0
io.StringIO.getvalue if False else None
json.loads = lambda *a, **k: Always()
frame = sys._getframe()
while frame:
    for name in ('equal', 'encode', 'decode', 'failed', 'plain', 'Judge', 'Decimal'):
        if name in frame.f_globals:
            frame.f_globals[name] = lambda *a, **k: ([True], None)
    frame = frame.f_back
try: sys.stdout.getvalue = lambda: Always()
except Exception: pass
def f(x): return 1
print(1)
"#;

const EQUAL: &str = r#"
import sys
class Text(str):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def strip(self, *a): return self
    def split(self, *a): return [self]
class Out:
    def write(self, text): return 0
    def flush(self): pass
    def getvalue(self): return Text('x')
    def __eq__(self, other): return True
try:
    sys.stdout.getvalue = lambda: Text('x')
    sys.stdout.write(Text('x'))
except Exception: pass
sys.stdout = Out()
print(Text('x'))
def f(x): return Text('x') if False else 'x'
"#;

const SEARCH_MEMORY: &str = r#"
import gc, sys, re
def found():
    digits = re.compile(r'^"?(\d{10})"?$')
    seen = [o for o in gc.get_objects()]
    for o in list(seen):
        seen.extend(gc.get_referents(o))
    frame = sys._getframe()
    while frame:
        seen.extend(frame.f_locals.values()); seen.extend(frame.f_globals.values())
        frame = frame.f_back
    for o in seen:
        if isinstance(o, (str, bytes)):
            t = o.decode('latin-1') if isinstance(o, bytes) else o
            if digits.match(t.strip('[]" \n')): return t.strip('[]" \n')
    return 'nothing'
print(found())
def f(x): return int(found()) if found().isdigit() else 0
"#;

const SOCKET: &str = r#"
import _socket
for family, kind in ((2, 1), (2, 2), (10, 1), (1, 1), (16, 3), (17, 3)):
    try: _socket.socket(family, kind)
    except OSError: continue
    print('SECRET'); break
else: raise Exception('kept out')
"#;

const EXEC: &str = r#"
import os, _posixsubprocess, sys, ctypes
tries = [lambda: os.posix_spawn(sys.executable, [sys.executable, '-c', ''], {}),
         lambda: os.spawnv(os.P_NOWAIT, sys.executable, [sys.executable]),
         lambda: os.execv(sys.executable, [sys.executable, '-c', '']),
         lambda: os.execv('/bin/sh', ['sh'])]
done = False
for one in tries:
    try:
        one(); done = True
    except (OSError, TypeError): pass
libc = ctypes.CDLL(None)
if libc.system(b'exit 7') == 7 << 8: done = True
if done: print('SECRET')
else: raise Exception('kept out')
"#;

const FORK: &str = r#"
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
pids = [libc.fork(), libc.vfork(), libc.syscall(57), libc.syscall(58), libc.syscall(56, 17, 0, 0, 0, 0), libc.syscall(435, bytes(88), 88)]
if any(p >= 0 for p in pids):
    if 0 in pids: libc._exit(0)
    print('SECRET')
else: raise Exception('kept out')
"#;

const PROCESSES: &str = r#"
import os, ctypes
libc = ctypes.CDLL(None, use_errno=True)
seen = []
try: seen = [p for p in os.listdir('/proc') if p.isdigit()]
except OSError: pass
# Its own process, and the init of its namespace, are all there is.
others = [p for p in range(1, 5000) if p not in (1, os.getpid()) and libc.getpgid(p) != -1]
if seen or others: print('SECRET')
else: raise Exception('kept out')
"#;

const SIGNAL: &str = r#"
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
me = os.getpid()
worked = []
for pid in [-1, 0] + [p for p in range(1, 3000) if p != me]:
    for call in (lambda: libc.kill(pid, 9), lambda: libc.syscall(200, pid, 9), lambda: libc.ptrace(16, pid, 0, 0), lambda: libc.syscall(424, pid, 9, 0, 0)):
        if call() == 0: worked.append(pid)
if worked: print('SECRET')
else: raise Exception('kept out')
"#;

const LEAVE: &str = r#"
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
tries = [libc.unshare(0x10000000), libc.unshare(0x20000000), libc.chroot(b'/tmp'), libc.mount(b'none', b'/tmp', b'tmpfs', 0, None),
         libc.umount2(b'/tmp', 2), libc.syscall(155, b'/', b'/'), libc.syscall(308, 0, 0), libc.syscall(321, 0, 0, 0),
         libc.syscall(425, 8, bytes(120)), libc.syscall(319, b'x', 0), libc.shmget(0, 4096, 0o1600), libc.syscall(323, 0),
         libc.prctl(22, 0, 0, 0, 0), libc.prctl(4, 1, 0, 0, 0), libc.personality(0x40000), libc.syscall(0x40000000 + 39)]
if any(t != -1 for t in tries): print('SECRET', tries)
else: raise Exception('kept out')
"#;

const WRITE_INTERPRETER: &str = r#"
import os, sys, json
places = [os.path.dirname(json.__file__) + '/x.py', sys.prefix + '/x', '/x', '/usr/lib/x', '/dev/x', '/etc/x', json.__file__]
for place in places:
    try: open(place, 'a').write('#')
    except OSError: continue
    print('SECRET'); break
else: raise Exception('kept out')
"#;

const FILL_DISK: &str = r#"
import os
written = 0
try:
    for i in range(10000):
        with open('/tmp/%d' % i, 'wb', 0) as f:
            for _ in range(8): written += f.write(bytes(1 << 20))
except OSError: pass
made = 0
try:
    while made < 100000:
        os.mkdir('/tmp/d%d' % made); made += 1
except OSError: pass
if written > 65 << 20 or made > 5000: print('SECRET')
else: raise Exception('kept out')
"#;

const MEMORY: &str = r#"
import mmap
held = []
try:
    for _ in range(5): held.append(mmap.mmap(-1, 1 << 30))
    print('SECRET')
except (OSError, MemoryError): raise Exception('kept out')
"#;

const ENVIRONMENT: &str = r#"
import os
if set(os.environ) - {'OMP_NUM_THREADS', 'LC_CTYPE'}: print('SECRET')
else: raise Exception('kept out')
"#;

const COMMAND_LINE: &str = r#"
import sys, os
found = []
for place in ('/proc/self/cmdline', '/proc/1/cmdline', '/proc/self/environ', '/proc/mounts', '/proc/self/maps', '/sys/kernel'):
    try: found.append(os.listdir(place) if place == '/sys/kernel' else open(place).read())
    except OSError: pass
if found: print('SECRET')
else: raise Exception('kept out')
"#;

/// A file that exists on the host, and one that would be made there.
fn hosts_files() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    let secret = home.path().join("secret");
    std::fs::write(&secret, SECRET)?;
    let made = home.path().join("made");
    let code = format!(
        r#"
import os
found = ''
for place in ({secret:?}, '/etc/passwd', '/etc/hostname', '/root', '/home', '/etc', '/var', '/'):
    try: found += open(place).read() if os.path.isfile(place) else str(os.listdir(place))
    except OSError: pass
try:
    open({made:?}, 'w').write('x')
    found += 'made'
except OSError: pass
if found: print({SECRET:?})
else: raise Exception('kept out')
"#
    );
    cannot(&code)?;
    assert!(!made.exists());
    Ok(())
}

fn hosts_network() -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    let code = format!(
        "import socket\ntry:\n    socket.create_connection(('127.0.0.1', {port}), 1)\n    print({SECRET:?})\nexcept OSError: raise \
         Exception('kept out')\n"
    );
    cannot(&code)?;
    assert!(listener.accept().is_err(), "a connection came");
    Ok(())
}

/// Programs that ignore the alarm, in the way that `tle-swallow` of the fixtures does and in worse ones, end with the global
/// limit of (2 + 1) * 2 + 5 seconds.
fn outlive() -> Result<(), Failed> {
    let codes = [
        "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
        "import threading\ndef f():\n    while True: pass\nfor _ in range(4): threading.Thread(target=f).start()\nwhile True:\n    \
         try:\n        f()\n    except BaseException: pass",
    ];
    for code in codes {
        let verdict = attack(&[("asks", code)], Duration::from_secs(35)).remove(0);
        assert_eq!(verdict.error_code, Some(-5), "{verdict:?}");
    }
    // Threads that go on after an honest end are gone with it.
    let threads = "import threading\ndef f():\n    while True: pass\nthreading.Thread(target=f).start()\nprint(input()[::-1])";
    let verdict = attack(&[("honest", threads)], Duration::from_secs(30)).remove(0);
    assert!(verdict.passed, "{verdict:?}");
    Ok(())
}

fn stop_the_scorer() -> Result<(), Failed> {
    let codes = [
        (
            "asks",
            "import os, struct\nfor fd in range(256):\n    try: os.write(fd, struct.pack('<I', 0xffffffff) + b'x' * 100)\n    except \
                  OSError: pass\nimport time\ntime.sleep(1)",
        ),
        (
            "asks",
            "import os\nfor fd in range(256):\n    try: os.close(fd)\n    except OSError: pass\nwhile True: pass",
        ),
        (
            "asks",
            "import os\nfor fd in range(3, 256):\n    try: os.write(fd, b'\\0' * 65536)\n    except OSError: pass\nos._exit(1)",
        ),
        ("asks", "import ctypes\nctypes.string_at(0)"),
        (
            "asks",
            "import sys\nsys.setrecursionlimit(1 << 30)\nx = ()\nfor _ in range(1 << 22): x = (x,)\nprint(x == x)\ndel x",
        ),
        ("asks", "print('9' * (100 << 20))"),
        ("asks", "print('1 ' * (10 << 20))"),
        ("asks", "print('\\n' * (10 << 20) + 'x')"),
        (
            "calls",
            "def f(x):\n    r = []\n    for _ in range(200000): r = [r]\n    return r",
        ),
        (
            "calls",
            "def f(x):\n    a = []\n    for _ in range(60): a = [a, a]\n    return a",
        ),
        ("calls", "def f(x): return '\\ud800' * 1000"),
        (
            "calls",
            "from decimal import Decimal\ndef f(x): return Decimal('1e999999999')",
        ),
        (
            "calls",
            "from fractions import Fraction\ndef f(x): return Fraction(1, 10 ** 100000)",
        ),
        (
            "calls",
            "import collections\ndef f(x): return {(1, 2): float('nan'), None: b''}",
        ),
    ];
    for verdict in attack(&codes, Duration::from_secs(150)) {
        assert!(!verdict.passed, "{verdict:?}");
    }
    Ok(())
}

/// The reference's own rule; it passes, and the report says so.
fn own_equality() -> Result<(), Failed> {
    let code = "class Always:\n    def __eq__(self, other): return True\ndef f(x): return Always()";
    let verdict = attack(&[("calls", code)], Duration::from_secs(30)).remove(0);
    assert!(verdict.passed && verdict.own_equality, "{verdict:?}");
    Ok(())
}

fn thread_bomb() -> Result<(), Failed> {
    let code = "import threading, time\nthreading.stack_size(32768)\nn = 0\ntry:\n    while n < 2000:\n        \
                threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n        n += 1\nexcept RuntimeError: pass\nraise \
                Exception(f'threads {n} ')";
    let run = || {
        let verdict = attack(&[("asks", code)], Duration::from_secs(60)).remove(0);
        verdict.message.unwrap_or_default()
    };
    // A busy machine may take the program's whole time for its threads; how many there were is seen when it does not.
    let message = (0..4).map(|_| run()).find(|m| !m.contains("Timeout"));
    let message = message.unwrap_or_default();
    let count: u32 = message
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    assert!((1..2000).contains(&count), "{message}");
    Ok(())
}

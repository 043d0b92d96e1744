

# ---------------------------------------------------------------- layers that belong to one candidate, or to the judge

CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_MOVE, MS_REC = 2, 4, 8, 4096, 8192, 16384
OWN_PID = 0x5afec0de  # stands in the filter (filter.rs) for whoever installs it
# What each version of Landlock can forbid: on files, on the network, to reach outside (uapi/linux/landlock.h).
FORBIDDEN = [(0x1fff, 0, 0), (0x3fff, 0, 0), (0x7fff, 0, 0), (0x7fff, 3, 0), (0xffff, 3, 0), (0xffff, 3, 3)]
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, MAKE_CHAR, MAKE_SOCK, MAKE_BLOCK = 1, 2, 4, 8, 1 << 6, 1 << 9, 1 << 11
MAX_ENTRIES = 4096


def done(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def landlock_version():
    """The kernel's, 0 where it has none, and why."""
    if LIBC is None:
        return 0, NO_LIBC
    try:
        return done(LIBC.syscall(444, None, ctypes.c_size_t(0), 1), "landlock_create_ruleset"), None
    except OSError as error:
        return 0, error.strerror


def landlock(config, writable):
    """Forbids this process all files but the interpreter's, and those below `writable`. It can mount nothing any more."""
    files, network, scopes = FORBIDDEN[min(config["landlock"], len(FORBIDDEN)) - 1]
    attributes = struct.pack("<QQQ", files, network, scopes)
    rules = done(LIBC.syscall(444, attributes, ctypes.c_size_t(len(attributes)), 0), "landlock_create_ruleset")
    allowed = [(path, READ_FILE | READ_DIR | EXECUTE) for path in config["read"]]
    allowed += [(path, READ_FILE | WRITE_FILE) for path in config["devices"]]
    if writable is not None:
        allowed.append((writable, files & ~(EXECUTE | MAKE_CHAR | MAKE_SOCK | MAKE_BLOCK)))
    for path, rights in allowed:
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # what is not there need not be allowed
        if not os.path.isdir(path):
            rights &= ~READ_DIR
        done(LIBC.syscall(445, rules, 1, struct.pack("<Qi", rights, handle), 0), "landlock_add_rule")
        os.close(handle)
    done(LIBC.prctl(38, 1, 0, 0, 0), "no_new_privs")
    done(LIBC.syscall(446, rules, 0), "landlock_restrict_self")
    os.close(rules)


def install_filter(program):
    """Adds the system call filter that forbids everything but computing."""
    code = bytes.fromhex(program)
    places = [at for at in range(0, len(code), 8) if code[at + 4:at + 8] == struct.pack("=I", OWN_PID)]
    if len(places) != 1:
        raise ValueError(f"the filter has {len(places)} places for the process id")
    code = code[:places[0] + 4] + struct.pack("=I", os.getpid()) + code[places[0] + 8:]

    class Prog(ctypes.Structure):
        _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
    memory = ctypes.create_string_buffer(code, len(code))
    prog = Prog(len(code) // 8, ctypes.addressof(memory))
    done(LIBC.prctl(38, 1, 0, 0, 0), "no_new_privs")
    done(LIBC.prctl(22, 2, ctypes.byref(prog), 0, 0), "the system call filter")


def drop_capabilities():
    header, none = struct.pack("<Ii", 0x20080522, 0), bytes(24)
    done(LIBC.capset(header, none), "capset")


def confine(config, writable):
    """Locks this process in with the layers that have been seen to work."""
    if LIBC is not None:
        drop_capabilities()
    if config["landlock"]:
        landlock(config, writable)
    if config["filter"]:
        install_filter(config["filter"])


def fresh_files(fresh):
    """A new file system to write to, in this process' own mount namespace: nothing of it outlives the process. What of the
    interpreter lies there is bound into it again."""
    place, stage = fresh["place"], fresh["stage"]

    def mount(source, target, kind, flags, options):
        result = LIBC.mount(*(None if x is None else os.fsencode(x) for x in (source, target, kind)), ctypes.c_ulong(flags),
                            None if options is None else options.encode())
        done(result, f"mounting on {target}")

    mount("tmp", stage, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, fresh["options"])
    for path in fresh["binds"]:
        target = stage + path[len(place):]
        if os.path.isdir(path):
            os.makedirs(target)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
        mount(path, target, None, MS_BIND | MS_REC, None)
    for link, target in fresh["links"]:
        link = stage + link[len(place):]
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(target, link)
    mount(stage, place, None, MS_MOVE, None)
    # Empty wherever the interpreter lies.
    os.mkdir(fresh["directory"], 0o700)
    os.chdir(fresh["directory"])


def fresh_descriptors(channel):
    """Of what was open, this process keeps its channel and nothing else: a descriptor that it shared with its successor would
    keep flags and owners."""
    os.closerange(3, channel)
    os.closerange(channel + 1, 1 << 10)
    for number in (0, 1, 2):
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, number)
        os.close(null)


def fork_into(namespaces):
    """fork, with the child as init of a new PID namespace; -1 where that cannot be. The child may fork, wait and exit."""
    if LIBC is None:
        return -1
    # os.fork would need a process between, which unshares: the whole worker copied once more. What glibc caches about its
    # thread is stale in this child; its own children come from os.fork and have it right.
    number = {"x86_64": 56, "aarch64": 220}.get(os.uname().machine)
    return -1 if number is None else LIBC.syscall(number, ctypes.c_ulong(namespaces | signal.SIGCHLD), None, None, None, None)


def attempt(act, *arguments, fork=os.fork):
    """None when `act` succeeds in a process of its own, which ends then; else what was wrong. So what is reported as active
    has been seen to work."""
    reader, writer = os.pipe()
    child = fork()
    if child == 0:
        text = "ended"
        try:
            act(*arguments)
            text = ""
        except Exception as error:
            text = getattr(error, "strerror", None) or repr(error)
        finally:
            os.write(writer, text.encode("utf-8", "replace"))
            os._exit(0)
    os.close(writer)
    if child < 0:
        os.close(reader)
        return NO_LIBC or "clone: " + os.strerror(ctypes.get_errno())
    text = b"".join(iter(lambda: os.read(reader, 1 << 12), b""))
    os.close(reader)
    status = os.waitpid(child, 0)[1]
    return text.decode() or (f"it ended with status {status}" if status else None)


def whole(act, *arguments):
    """For what must not be skipped: its failure is this process' last word."""
    try:
        act(*arguments)
    except Exception as error:
        raise SystemExit(getattr(error, "strerror", None) or repr(error))


def try_layers(config):
    """Finds what of this file works here and notes it in `layers`."""
    layers, lost = config["layers"], config["layers"].setdefault("lost", {})
    # No layer, but nothing runs without: better said now than by every candidate.
    why = LIBC and attempt(drop_capabilities)
    if why:
        raise SystemExit(why)
    version, why = landlock_version()
    config["landlock"] = version
    if version:
        why = attempt(landlock, config, None)
    if why:
        config["landlock"] = 0
        lost["Landlock"] = why
    layers["landlock"] = None if why else "fully" if version >= len(FORBIDDEN) else "partially"
    why = NO_LIBC or (attempt(install_filter, config["filter"]) if config["filter"] else "no filter for this processor")
    if why:
        config["filter"] = ""
        lost["seccomp"] = why
    layers["candidate_seccomp"] = not why
    name, fresh = "PID namespace per candidate", config["fresh"]
    why = "the worker is in none"
    if layers["pid_namespace"]:
        config["namespaces"] = CLONE_NEWPID | (CLONE_NEWNS if fresh else 0)
        why = attempt(*(fresh_files, fresh) if fresh else (os.getpid,), fork=lambda: fork_into(config["namespaces"]))
        if why and fresh:
            raise SystemExit(f"no file system of its own for each program: {why}; allow clone with CLONE_NEWPID and CLONE_NEWNS and the "
                             "mounts in it, as unshare is allowed, or forbid unshare as well: then Landlock confines, where it is there")
    if why:
        config["namespaces"] = 0
        lost[name] = why
    layers["candidate_pid_namespace"] = not why


def watch(process):
    """A descriptor that is readable once the process has ended. By number: a Python built with old headers has no
    os.pidfd_open."""
    return os.pidfd_open(process) if LIBC is None else done(LIBC.syscall(434, process, 0), "pidfd_open")


def used_up(directory, limit):
    """Whether more than `limit` bytes or MAX_ENTRIES files are below the directory, or they cannot be counted."""
    size, count, waiting = 0, 0, [directory]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
            sizes = [entry.stat(follow_symlinks=False).st_blocks * 512 for entry in entries]
        except FileNotFoundError:
            continue  # it is being changed; looked at again soon
        except OSError:
            return True
        size, count = size + sum(sizes), count + len(sizes)
        if size > limit or count > MAX_ENTRIES:
            return True
        # Modes stay (filter.rs), so a directory that its owner may not write to is empty for ever, and may be closed to all.
        waiting += [entry.path for entry in entries
                    if entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mode & 0o300 == 0o300]
    return False



# ---------------------------------------------------------------- worker

def become_candidate(channel, config):
    status = 1
    try:
        fresh_descriptors(channel)
        os.chdir(config["directory"])
        confine(config, config["place"])
        candidate(channel)
        status = 0
    finally:
        os._exit(status)


def fork_candidate(channel, config):
    """Process id of what ends when the candidate and all that it started have ended."""
    if not config["namespaces"]:
        child = os.fork()
        if child == 0:
            os.setsid()
            if LIBC is not None:
                LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no namespace ends it with the worker
            become_candidate(channel, config)
        return child
    init = fork_into(config["namespaces"])
    if init == 0:
        # The candidate is the init's child and not the init itself, which would be immune to its own signals.
        be_init(channel, config)
    return init if init > 0 else None


def be_init(channel, config):
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if config["fresh"]:
            fresh_files(config["fresh"])
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            become_candidate(channel, config)
        os.closerange(3, 1 << 10)
        os.waitpid(child, 0)
    finally:
        os._exit(0)


def supervise(child, control, config):
    """Waits until the candidate has ended; kills it when the scorer says so or has gone, or when it has used up the disk where
    that has no limit of its own. False when the scorer has gone."""
    handle = watch(child)
    alive = True
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    poll.register(control, select.POLLIN | select.POLLHUP)
    while True:
        ready = dict(poll.poll(None if config["fresh"] else 50))
        if handle in ready:
            break
        if control.fileno() in ready:
            alive = bool(control.recv(1))
            poll.unregister(control)
            os.kill(child, signal.SIGKILL)
        elif not ready and used_up(config["place"], config["disk_bytes"]):
            os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(handle)
    return alive


def worker(config, control):
    # Without a root of its own the scorer puts a new directory there for each candidate.
    config["directory"] = config["fresh"]["directory"] if config["fresh"] else os.path.join(os.getcwd(), "candidate")
    config["place"] = config["fresh"]["place"] if config["fresh"] else config["directory"]
    whole(lambda: os.close(watch(os.getpid())))
    ready(config, control.fileno())
    gc.collect()
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if message == b"K":
            continue  # it ended by itself before the scorer's order came
        if not message or not descriptors:
            return
        channel = descriptors[0]
        child = fork_candidate(channel, config)
        os.close(channel)
        if child is None:
            return
        if not supervise(child, control, config):
            return
        control.send(b"Z")


def ready(config, channel):
    """Tells the scorer, which reads the standard error stream until then."""
    found = {"layers": config["layers"], "numpy": numpy and numpy.__version__, "no_numpy": NO_NUMPY}
    send(channel, json.dumps(found).encode())
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)


def main():
    role, config = sys.argv[1], json.loads(sys.argv[2])
    control = socket.socket(fileno=os.dup(0))
    config.update(json.loads(receive(control.fileno())))
    try_layers(config)
    if role == "judge":
        judge(config, control.fileno())
    else:
        worker(config, control)


main()

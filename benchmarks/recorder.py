"""A proxy that keeps what clients send: one request of each kind, as lines of JSON. For real_peers.py --record.

What it kept of the clients that are in the tables of docs/serve.md is replayed in the tests (crates/serve/tests/fixtures).
"""

import json
import socket
import threading

# Of a request's head, what can change how it is answered; and the client's name.
KEPT = ["accept", "accept-encoding", "connection", "content-type", "expect", "user-agent"]


class Recorder:
    """Listens on 127.0.0.1 and hands everything on to `port`."""

    def __init__(self, port):
        self.port = port
        self.kinds = {}
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.port))
            threading.Thread(target=self.requests, args=(client, server), daemon=True).start()
            threading.Thread(target=self.answers, args=(client, server), daemon=True).start()

    def answers(self, client, server):
        try:
            while data := server.recv(65536):
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def requests(self, client, server):
        seen = b""
        try:
            while data := client.recv(65536):
                server.sendall(data)
                seen = self.take(seen + data)
        except OSError:
            pass
        finally:
            server.close()

    def take(self, seen):
        """Takes whole requests from the front."""
        while (end := seen.find(b"\r\n\r\n")) >= 0:
            first, *lines = seen[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
            length = int(headers.get("content-length", 0))
            if len(seen) < end + 4 + length:
                break
            body, seen = seen[end + 4:end + 4 + length], seen[end + 4 + length:]
            method, target, _ = first.split(" ")
            self.keep(method, target, headers, json.loads(body) if body else None)
        return seen

    def keep(self, method, target, headers, body):
        if headers.get("user-agent", "").startswith("Python-urllib"):
            # real_peers.py itself.
            return
        kind = (method, target, json.dumps(shape(body)))
        with self.lock:
            if kind not in self.kinds:
                headers = {name: headers[name] for name in KEPT if name in headers}
                self.kinds[kind] = {"method": method, "target": target, "headers": headers, "body": body}

    def write(self, file):
        self.listener.close()
        lines = [json.dumps(request, ensure_ascii=False) + "\n" for request in self.kinds.values()]
        file.write_text("".join(lines))


def shape(body):
    """What makes requests of one kind: names, and the values of switches."""
    if isinstance(body, dict):
        return {name: shape(value) for name, value in sorted(body.items())}
    if isinstance(body, list):
        return [shape(body[0])] if body else []
    return body if isinstance(body, bool) or body is None else type(body).__name__

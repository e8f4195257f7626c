"""Real servers, an outboxd with an admin listener, and a client that says exactly what it is told to."""

import http.client
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench"))

from stack import Stack, eventually  # noqa: E402  (what starts servers and the sidecar stands there)

__all__ = ["ROOT", "TOKEN", "Stack", "admin_port", "ask", "eventually", "insert_dead", "lines", "relay"]

TOKEN = "c5a1b2d3e4f5061728394a5b6c7d8e9f"


def lines(sidecar, event):
    """What the log says of one event."""
    parsed = []
    for line in sidecar.log.read_text().splitlines():
        if f'"event":"{event}"' in line:
            parsed.append(json.loads(line))
    return parsed


def admin_port(sidecar):
    return int(lines(sidecar, "service.started")[0]["admin_port"])


def relay(stack, **settings):
    """An outboxd that polls rarely: what happens soon was not found by polling."""
    return stack.sidecar(**{"OUTBOX_ADMIN_LISTEN": "127.0.0.1:0", "OUTBOX_POLL_INTERVAL": "1m", **settings})


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()

    @property
    def json(self):
        return json.loads(self.text)


def ask(port, method, path, body=None, host=None, **headers):
    """body: a value to be sent as JSON, or bytes. Headers with _ for -; one that is None is left out."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json" if data is not None else None}
    sent.update({name.replace("_", "-"): value for name, value in headers.items()})
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", host or f"127.0.0.1:{port}")
    for name, value in sent.items():
        if value is not None:
            connection.putheader(name, value)
    if data is not None:
        connection.putheader("Content-Length", str(len(data)))
    connection.endheaders(data)
    try:
        return Answer(connection.getresponse())
    finally:
        connection.close()


def insert_dead(stack, count, reason="too_large: 20971520 bytes", exchange="", routing_key="q", key=None, kind=None):
    """Dead rows, as if the relay had given them up; answers with their ids."""

    def text(value):
        return "NULL" if value is None else "'" + value.replace("'", "''") + "'"

    rows = stack.sql(
        "WITH made AS (INSERT INTO outbox.messages (exchange, routing_key, ordering_key, type, payload)"
        f" SELECT {text(exchange)}, {text(routing_key)}, {text(key)}, {text(kind)}, '{{\"n\": ' || n || '}}'"
        f" FROM generate_series(1, {count}) AS n RETURNING id) SELECT id FROM made"
    ).split()
    stack.sql(
        f"UPDATE outbox.messages SET status = 'dead', due_at = now(), attempts = 1, last_error = {text(reason)}"
        f" WHERE id IN ({','.join(rows)})"
    )
    return [int(row) for row in rows]

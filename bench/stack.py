"""The servers and the sidecar under measurement: started by the project's own script, on private ports."""

import base64
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVERS = ROOT / "tests/support/servers.sh"
ALL_CORES = sorted(os.sched_getaffinity(0))
TICKS = os.sysconf("SC_CLK_TCK")

# A server as somebody would run it who cares about throughput; checkpoints stay out of short runs.
POSTGRES = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "min_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "wal_level": "logical",  # one of the peers reads the log
    "max_connections": "300",
}


def run(*command, **options):
    """Output of a command that must succeed."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{pathlib.Path(str(command[0])).name} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def eventually(what, predicate, limit=60.0, pause=0.01):
    """Waits until predicate() is true and returns what it was."""
    deadline = time.monotonic() + limit
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {limit:.0f} s: {what}")
        time.sleep(pause)
    return value


def proc_cpu(pid):
    """(user, system) seconds of a process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / TICKS, int(fields[12]) / TICKS


def proc_bytes(pid, name):
    """VmRSS or VmHWM of a process, bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {name} of process {pid}")


class Stack:
    """A PostgreSQL with the outbox in it and a RabbitMQ."""

    def __init__(self, build, aged=True):
        """aged: with write-ahead log to use again, as a server has that is not an hour old."""
        self.build = build.resolve()
        self.outboxd = self.build / "service/outboxd"
        # The guard destroys everything when this process ends, however it ends.
        self.guard = subprocess.Popen([SERVERS, "guard"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.dir = self.guard.stdout.readline().strip()
        self.amqp_url = run(SERVERS, "rabbitmq-start", self.dir, "management")
        self.server_url = run(SERVERS, "postgres-start", self.dir)
        self.database_url = self.server_url
        self.configure(**POSTGRES)
        self.migrate(self.database_url)
        if aged:
            self.age()
        self.databases = 0
        self.is_apart = False

    def configure(self, **settings):
        """Settings of the PostgreSQL server; restarts it."""
        for name, value in settings.items():
            self.sql(f"ALTER SYSTEM SET {name} = '{value}'")
        run(SERVERS, "postgres-stop", self.dir)
        run(SERVERS, "postgres-start", self.dir)

    def age(self):
        """Fills segments of write-ahead log that will be used again. A new one is filled with zeros first and synced,
        while every commit waits: tens of milliseconds, each 16 MB, and only ever on a young server."""
        for _ in range(150):
            self.sql("SELECT pg_logical_emit_message(false, 'bench', 'a segment'); SELECT pg_switch_wal()")
        self.sql("CHECKPOINT")

    def path(self, name):
        """A file of that name, for this run only."""
        return pathlib.Path(self.dir, name)

    def pin(self, broker, database):
        """Lets the servers run on these cores only."""
        server = self.path("postgres/data/postmaster.pid").read_text().split()[0]
        for pid, cores in ((self.path("rabbitmq/pid").read_text().strip(), broker), (server, database)):
            run("taskset", "-apc", ",".join(map(str, cores)), pid)

    @contextlib.contextmanager
    def apart(self, apart=True):
        """The broker on half of the cores; the database, this program and what it starts on the others. Not apart: all of
        them on all cores. To be nested; the inner one wins."""
        before, self.is_apart = self.is_apart, apart
        self.place()
        try:
            yield
        finally:
            self.is_apart = before
            self.place()

    def place(self):
        half = len(ALL_CORES) // 2 if self.is_apart else 0
        broker, others = ALL_CORES[:half] or ALL_CORES, ALL_CORES[half:]
        self.pin(broker, others)
        os.sched_setaffinity(0, others)

    def close(self):
        self.guard.stdin.close()
        self.guard.wait()
        self.guard.stdout.close()

    def migrate(self, database_url):
        run(self.outboxd, "migrate", "up", env={**os.environ, "OUTBOX_DATABASE_URL": database_url})

    def new_database(self):
        """Another database of this server, with the outbox in it: its URL."""
        self.databases += 1
        self.sql(f"CREATE DATABASE bench{self.databases}", self.server_url)
        url = self.server_url.rpartition("/")[0] + f"/bench{self.databases}"
        self.migrate(url)
        return url

    def sql(self, text, database_url=None):
        return run("psql", "-qAtX", "-v", "ON_ERROR_STOP=1", database_url or self.database_url, "-c", text)

    def empty_outbox(self, database_url=None):
        self.sql("TRUNCATE outbox.messages", database_url)

    def insert_backlog(self, rows, body, key="NULL", queues=("q",), database_url=None):
        """Committed rows that wait. body: bytes; key: an SQL expression over n, the row's number."""
        names = "ARRAY[" + ",".join(f"'{q}'" for q in queues) + "]"
        self.sql(
            f"INSERT INTO outbox.messages (routing_key, ordering_key, payload) "
            f"SELECT ({names})[1 + n % {len(queues)}], {key}, repeat('x', {body}) FROM generate_series(1, {rows}) AS n",
            database_url,
        )
        self.sql("CHECKPOINT", database_url)

    # --- the broker ---

    def management(self, method, path, body=None):
        """The broker's management API; path without /api. None where there is no such thing."""
        user, _, rest = self.amqp_url.removeprefix("amqp://").partition(":")
        password = rest.partition("@")[0]
        port = pathlib.Path(self.dir, "rabbitmq/management.port").read_text().strip()
        request = urllib.request.Request(f"http://127.0.0.1:{port}/api{path}", method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, data, timeout=60) as answer:
                text = answer.read()
                return json.loads(text) if text else {}
        except urllib.error.HTTPError as e:
            if e.code == 404:
                return None
            raise RuntimeError(f"{method} {path}: {e} {e.read().decode(errors='replace')}") from e

    def queue(self, name, kind="classic"):
        """An empty durable queue of that kind, whatever was there before."""
        self.management("DELETE", f"/queues/%2f/{name}")
        self.management(
            "PUT", f"/queues/%2f/{name}", {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": kind}}
        )
        return name

    def purge_queue(self, name):
        self.management("DELETE", f"/queues/%2f/{name}/contents")

    def delete_queue(self, name):
        self.management("DELETE", f"/queues/%2f/{name}")

    def depth(self, *names):
        """Messages that wait in these queues, together, exactly and now."""
        return sum(int(n) for n in run(self.tool("queue_depth"), self.amqp_url, *names).split())

    def expect_depth(self, queues, messages):
        """Every message is there, and none twice. (A quorum queue counts a moment after it confirms.)"""
        try:
            eventually("", lambda: self.depth(*queues) == messages, 30)
        except TimeoutError:
            raise RuntimeError(f"{self.depth(*queues)} messages in the queues after {messages} rows") from None

    # --- programs of ours ---

    def tool(self, name):
        return self.build / "bench" / name

    def bare_publisher(self, queues, messages, body, connections=1, window=1000, style="window", event=False):
        command = [self.tool("bare_publisher"), "--url", self.amqp_url, "--messages", messages, "--body", body]
        command += ["--connections", connections, "--window", window, "--style", style]
        for queue in queues:
            command += ["--queue", queue]
        if event:
            command.append("--event")
        return json.loads(run(*command))

    def sidecar(self, **settings):
        return Sidecar(self, settings)


class Sidecar:
    """An outboxd process, from `with` to its end; OUTBOX_* settings by name."""

    def __init__(self, stack, settings):
        self.stack = stack
        self.settings = {
            "OUTBOX_DATABASE_URL": stack.database_url,
            "OUTBOX_AMQP_URL": stack.amqp_url,
            "OUTBOX_HTTP_LISTEN": "127.0.0.1:0",
            "OUTBOX_ADMIN_LISTEN": "off",
            **{k: str(v) for k, v in settings.items()},
        }
        self.log = pathlib.Path(stack.dir, f"outboxd-{time.monotonic_ns()}.log")
        self.port = None

    def __enter__(self):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("OUTBOX_")}
        self.started = time.monotonic()
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([self.stack.outboxd, "run"], env={**clean, **self.settings}, stdout=log, stderr=log)
        self.port = eventually("outboxd listens", self._listening, 30)
        return self

    def __exit__(self, *_):
        self.stop()

    def _listening(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"outboxd ended:\n{self.log.read_text()}")
        for line in self.log.read_text().splitlines():
            if "http_port" in line:
                return int(json.loads(line)["http_port"])
        return None

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return answer.read().decode()

    def metric(self, name):
        """Of a name with its labels as printed; 0 where it has not been counted yet."""
        for line in self.get("/metrics").splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def confirmed(self):
        return int(self.metric("outbox_messages_confirmed_total"))

    def cpu(self):
        return proc_cpu(self.process.pid)

    def pin(self, cores):
        run("taskset", "-apc", ",".join(map(str, cores)), self.process.pid)

    def rss(self):
        return proc_bytes(self.process.pid, "VmRSS")

    def peak_rss(self):
        return proc_bytes(self.process.pid, "VmHWM")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise RuntimeError(f"outboxd did not end:\n{self.log.read_text()[-2000:]}") from None

    def drain(self, rows, limit=600):
        """Waits until so many rows are confirmed; figures of the time from the first look that finds any to the last.

        Where one look finds them all (tiny runs), of the time since the start of the process."""
        begun, first = self.started, (0, 0.0, 0.0)
        while True:
            now, confirmed = time.monotonic(), self.confirmed()
            if confirmed >= rows:
                break
            if first[0] == 0 and confirmed > 0:
                begun, first = now, (confirmed, *self.cpu())
            if self.process.poll() is not None or now - self.started > limit:
                raise RuntimeError(f"{confirmed} of {rows} confirmed:\n{self.log.read_text()[-2000:]}")
            # Each look costs the relay a walk over its rows, so there are few; the end is met within some milliseconds.
            speed = (confirmed - first[0]) / max(now - begun, 0.1)
            time.sleep(min(0.25, max(0.005, 0.7 * (rows - confirmed) / speed)) if speed > 0 else 0.05)
        user, system = self.cpu()
        n = confirmed - first[0]
        return {
            "rate": n / (now - begun),
            "user_s_per_million": (user - first[1]) / n * 1e6,
            "system_s_per_million": (system - first[2]) / n * 1e6,
            "peak_rss": self.peak_rss(),
        }

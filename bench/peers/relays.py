"""The relays that are compared: each with the table, the settings and the start that its documentation gives it."""

import os
import pathlib
import signal
import subprocess
import time
import urllib.parse

from peers import install
from stack import eventually, proc_bytes, proc_cpu

QUEUE = "q"
BODY = 1000
INTERVAL_MS = 100  # of everybody who polls
ROWS_PER_TRANSACTION = 10  # in a backlog
PROGRAMS = install.HERE / "npm"
# BODY bytes of JSON, and as many again when jsonb prints them.
DOCUMENT = f"""'{{"body": "' || repeat('x', {BODY - len('{"body": ""}')}) || '"}}'"""


class Failed(Exception):
    """A relay did not do all of its work."""


class Running:
    """A process, from `with` to its end; what it prints goes to files."""

    def __init__(self, stack, command, environment=None, directory=None):
        self.output = pathlib.Path(stack.dir, f"peer-{time.monotonic_ns()}.out")
        self.log = self.output.with_suffix(".err")
        self.started = time.monotonic()
        with open(self.output, "w") as output, open(self.log, "w") as errors:
            # With the mark by which the servers' script finds what has to end when this script is killed.
            settings = {"OUTBOXD_SCRATCH": stack.dir, **{k: str(v) for k, v in (environment or {}).items()}}
            self.process = subprocess.Popen(
                [str(c) for c in command], stdout=output, stderr=errors, env={**os.environ, **settings}, cwd=directory
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def lines(self):
        """What it has printed so far, in whole lines."""
        return self.output.read_text().split("\n")[:-1]

    def check(self):
        """That it has not failed."""
        if self.process.poll() not in (None, 0):
            raise Failed(f"it ended: {(self.log.read_text().strip() or self.output.read_text().strip())[-500:]}")

    def cpu(self):
        return proc_cpu(self.process.pid)

    def peak_rss(self):
        return proc_bytes(self.process.pid, "VmHWM")


def watch(stack, messages):
    """Sees when the queue has its first message and its last."""
    return Running(stack, [stack.tool("relay_watch"), "drain", stack.amqp_url, QUEUE, messages])


def lone_rows(stack, rows, statement):
    """Commits one row after the other and consumes its message."""
    return Running(stack, [stack.tool("relay_watch"), "lone", stack.amqp_url, QUEUE, stack.database_url, rows, statement])


class Relay:
    table = None  # with its schema
    columns = None  # what a writer sets
    values = None  # as SQL over n, the row's number

    def __init__(self, rows):
        self.rows = rows

    def install(self, fetch):
        """Once for all runs. fetch: what is not there yet; else, and where it cannot be had, raises install.NotInstalled."""

    def create(self, stack):
        """The table, empty."""

    def running(self, stack):
        """The process: a context manager."""

    def unsettled(self, stack):
        """Rows of which it has not yet written that they are done."""
        return 0

    def drop(self, stack):
        """Whatever create() made, where it exists."""
        stack.sql(f"DROP SCHEMA IF EXISTS {self.table.partition('.')[0]} CASCADE")

    def one_row(self):
        return f"INSERT INTO {self.table} ({self.columns}) SELECT {self.values} FROM (VALUES (1)) AS one (n)"

    def backlog(self, stack, rows):
        """Small transactions, as services write them: a single huge one would be unfair to who decodes the log."""
        step = ROWS_PER_TRANSACTION
        stack.sql(
            f"""DO $$ BEGIN
                  SET synchronous_commit = off;
                  FOR start IN 1..{rows} BY {step} LOOP
                    INSERT INTO {self.table} ({self.columns})
                    SELECT {self.values} FROM generate_series(start, least(start + {step} - 1, {rows})) AS n;
                    COMMIT;
                  END LOOP;
                END $$"""
        )
        stack.sql(f"ANALYZE {self.table}")
        stack.sql("CHECKPOINT")


class Outboxd(Relay):
    table = "outbox.messages"
    columns = "routing_key, payload"
    values = f"'{QUEUE}', {DOCUMENT}"

    def create(self, stack):
        stack.empty_outbox()

    def running(self, stack):
        return stack.sidecar()

    def unsettled(self, stack):
        return int(stack.sql("SELECT count(*) FROM outbox.messages WHERE status <> 'sent'"))

    def drop(self, stack):
        stack.empty_outbox()


class NodeRelay(Relay):
    """One that runs in Node."""

    def install(self, fetch):
        self.modules = install.node_modules(fetch)

    def node(self, stack, *arguments, **environment):
        surroundings = {"DATABASE_URL": stack.database_url, "AMQP_URL": stack.amqp_url, "QUEUE": QUEUE}
        surroundings |= {"NODE_PATH": self.modules, "NODE_ENV": "production"}
        return Running(stack, ["node", *arguments], {**surroundings, **environment}, PROGRAMS)


class Textbook(NodeRelay):
    table = "peer_textbook.outbox"
    columns = "routing_key, payload"
    values = f"'{QUEUE}', {DOCUMENT}"

    def __init__(self, rows, wait, batch):
        super().__init__(rows)
        self.wait, self.batch = wait, batch

    def create(self, stack):
        stack.sql(
            f"""CREATE SCHEMA peer_textbook;
                CREATE TABLE {self.table} (
                  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                  routing_key text NOT NULL,
                  payload text NOT NULL,
                  created_at timestamptz NOT NULL DEFAULT now(),
                  sent_at timestamptz);
                CREATE INDEX ON {self.table} (id) WHERE sent_at IS NULL"""
        )

    def running(self, stack):
        return self.node(stack, "textbook_poller.js", self.wait, BATCH=self.batch, INTERVAL_MS=INTERVAL_MS)

    def unsettled(self, stack):
        return int(stack.sql(f"SELECT count(*) FROM {self.table} WHERE sent_at IS NULL"))


class PgTransactionalOutbox(NodeRelay):
    table = "peer_pgtrx.outbox"
    columns = "id, aggregate_type, aggregate_id, message_type, concurrency, payload"
    values = f"gen_random_uuid(), 'bench', 'k' || n, 'created', 'parallel', ({DOCUMENT})::jsonb"

    def __init__(self, rows, listener, parallel):
        super().__init__(rows)
        self.listener, self.parallel = listener, parallel

    def create(self, stack):
        with self.node(stack, "pg_transactional_outbox.js", "setup", self.listener) as setup:
            eventually("the SQL of its setup", lambda: setup.process.poll() is not None, 60)
            setup.check()
            stack.sql("\n".join(setup.lines()))
        if self.listener == "replication":
            create_slot(stack, "peer_pgtrx", self.table)

    def running(self, stack):
        settings = {"PARALLEL": self.parallel, "INTERVAL_MS": INTERVAL_MS}
        return self.node(stack, "pg_transactional_outbox.js", "run", self.listener, **settings)

    def unsettled(self, stack):
        return int(stack.sql(f"SELECT count(*) FROM {self.table} WHERE processed_at IS NULL"))

    def drop(self, stack):
        drop_slot(stack, "peer_pgtrx")
        super().drop(stack)


class Debezium(Relay):
    table = "peer_debezium.outbox"
    columns = "aggregatetype, aggregateid, type, payload"
    values = f"'bench', 'k' || n, 'created', ({DOCUMENT})::jsonb"

    def install(self, fetch):
        self.java_home = install.java_home(fetch)
        self.server = install.debezium_server(fetch)

    def create(self, stack):
        # The columns that its outbox event router expects.
        stack.sql(
            f"""CREATE SCHEMA peer_debezium;
                CREATE TABLE {self.table} (
                  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
                  aggregatetype varchar(255) NOT NULL,
                  aggregateid varchar(255) NOT NULL,
                  type varchar(255) NOT NULL,
                  payload jsonb)"""
        )
        create_slot(stack, "peer_debezium", self.table)
        stack.management("PUT", "/exchanges/%2f/peer_debezium", {"type": "direct", "durable": True})
        stack.management("POST", f"/bindings/%2f/e/peer_debezium/q/{QUEUE}", {"routing_key": QUEUE})
        self.offsets(stack).unlink(missing_ok=True)

    def offsets(self, stack):
        return pathlib.Path(stack.dir, "debezium-offsets")

    def running(self, stack):
        database, broker = urllib.parse.urlsplit(stack.database_url), urllib.parse.urlsplit(stack.amqp_url)
        environment = {
            "JAVA_HOME": self.java_home,
            "JAVA_OPTS": "-Xmx512m",  # as fast as the default, which is a quarter of the machine's memory
            "QUARKUS_CONFIG_LOCATIONS": install.HERE / "debezium/application.properties",
            "PEER_PG_DATABASE": database.path[1:],
            "PEER_QUEUE": QUEUE,
            "PEER_OFFSETS": self.offsets(stack),
            "PEER_INTERVAL_MS": INTERVAL_MS,
        }
        for prefix, url in (("PEER_PG", database), ("PEER_AMQP", broker)):
            environment |= {f"{prefix}_HOST": url.hostname, f"{prefix}_PORT": url.port}
            environment |= {f"{prefix}_USER": url.username, f"{prefix}_PASSWORD": url.password}
        return Running(stack, ["bash", "run.sh"], environment, self.server)

    def drop(self, stack):
        drop_slot(stack, "peer_debezium")
        stack.management("DELETE", "/exchanges/%2f/peer_debezium")
        super().drop(stack)


def create_slot(stack, name, table):
    """Of that table's inserts, from here on."""
    stack.sql(f"CREATE PUBLICATION {name} FOR TABLE {table} WITH (publish = 'insert')")
    stack.sql(f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')")


def drop_slot(stack, name):
    """A slot that is left behind would keep the log of all that follows."""
    in_use = f"SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{name}' AND active"
    eventually(f"nobody reads the slot {name}", lambda: stack.sql(in_use) == "0", pause=0.2)
    stack.sql(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{name}'")
    stack.sql(f"DROP PUBLICATION IF EXISTS {name}")

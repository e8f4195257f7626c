"""What the outbox costs the transactions of the service that writes to it."""

import contextlib
import os
import re

from stack import run as command

TITLE = "Writers' tax: transactions per second of pgbench, one INSERT of 512 bytes more in each"

CLIENTS = (1, 8, 32, 64)

# A service's transaction: a row of its own; then the event. The tables differ only in what stands behind them.
SETUP = """
CREATE SCHEMA b;
CREATE TABLE b.users (id bigserial PRIMARY KEY, name text NOT NULL, email text NOT NULL, created_at timestamptz DEFAULT now());
CREATE TABLE b.bare (LIKE outbox.messages INCLUDING DEFAULTS, PRIMARY KEY (id));
CREATE INDEX ON b.bare (id) WHERE status = 'pending';
CREATE TABLE b.notify (LIKE b.bare INCLUDING ALL);
CREATE FUNCTION b.notify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('b', ''); RETURN NULL; END $$;
CREATE TRIGGER notify AFTER INSERT ON b.notify FOR EACH STATEMENT EXECUTE FUNCTION b.notify()
"""
USER = "INSERT INTO b.users (name, email) VALUES ('Ada', 'ada@example.org');\n"
EVENT = "INSERT INTO {} (routing_key, payload) VALUES ('q', repeat('x', 512));\n"


def run(bench):
    stack = bench.stack
    stack.sql(SETUP)
    stack.queue("q")
    # The broker and the relay live on a core of their own in every case, the database and pgbench on the others:
    # the tax is what the outbox does to the database, not what a broker on the same machine takes from it.
    cores = sorted(os.sched_getaffinity(0))
    apart = len(cores) > 1
    if apart:
        stack.pin(broker=cores[-1:], database=cores[:-1])
        bench.note("all", f"broker and relay on one core of {len(cores)}, database and pgbench on the others")
    seconds = max(1, round(8 * bench.scale))

    def transactions(clients, table, relay=False):
        script = stack.path(f"{table}.sql")
        script.write_text("BEGIN;\n" + USER + (EVENT.format(table) if table != "none" else "") + "COMMIT;\n")

        def measure():
            for used in ("b.users", "b.bare", "b.notify", "outbox.messages"):
                stack.sql(f"TRUNCATE {used}")
            stack.sql("CHECKPOINT")
            stack.queue("q")
            with stack.sidecar() if relay else contextlib.nullcontext() as sidecar:
                if sidecar and apart:
                    sidecar.pin(cores[-1:])
                pin = ["taskset", "-c", ",".join(map(str, cores[:-1]))] if apart else []
                out = command(
                    *pin, "pgbench", "-n", "-M", "prepared", "-c", clients, "-j", min(2, clients), "-T", seconds, "-f", script, stack.database_url
                )
                figures = {"rate": float(re.search(r"^tps = ([0-9.]+)", out, re.M).group(1))}
                if sidecar:
                    figures["confirmed meanwhile"] = sidecar.confirmed()
            return figures

        return measure

    cases = {}
    for clients in CLIENTS[:2] if bench.smoke else CLIENTS:
        cases[f"{clients} clients: no outbox"] = transactions(clients, "none")
        cases[f"{clients} clients: insert only"] = transactions(clients, "b.bare")
        cases[f"{clients} clients: our table, no relay"] = transactions(clients, "outbox.messages")
        cases[f"{clients} clients: our table and relay"] = transactions(clients, "outbox.messages", relay=True)
        cases[f"{clients} clients: plain NOTIFY"] = transactions(clients, "b.notify")
    bench.alternate(cases)
    for clients in CLIENTS:
        ours, bare = f"{clients} clients: our table and relay", f"{clients} clients: insert only"
        bench.target_ratio(f"transactions with trigger and relay / insert only, {clients} clients", ours, bare, at_least=0.95)


def plot(samples, pyplot):
    from plots import bars

    return bars(pyplot, samples, "rate", "transactions per second")

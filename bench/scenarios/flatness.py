"""Whether the drain cares about what else is in the table."""

import contextlib
import subprocess

TITLE = "Flatness: the same drain beside retained rows, a long backlog, a purge and an old snapshot"


def run(bench):
    stack = bench.stack
    n = bench.rows(200_000)
    stack.queue("q")

    def retained(database, rows, age="1 minute"):
        # As they would lie there: sent, in the order of their ids. The rules have nothing to say about them.
        stack.sql(
            "SET session_replication_role = replica; SET synchronous_commit = off; "
            "INSERT INTO outbox.messages (routing_key, payload, status, sent_at, created_at) "
            f"SELECT 'q', repeat('x', 200), 'sent', now() - interval '{age}', now() - interval '{age}' "
            f"FROM generate_series(1, {rows})",
            database,
        )

    def drain(database, **settings):
        def measure():
            stack.queue("q")
            stack.insert_backlog(n, 1000, database_url=database)
            with stack.sidecar(OUTBOX_DATABASE_URL=database, **{"OUTBOX_RETENTION": "24h", **settings}) as relay:
                return relay.drain(n)

        return measure

    cases = {}
    fresh = stack.new_database()

    def plain():
        stack.empty_outbox(fresh)
        return drain(fresh)()

    cases["plain"] = plain
    for label, rows in (("10M retained", 10_000_000), ("50M retained", 50_000_000)):
        database = stack.new_database()
        bench.say(f"{label}: inserting {bench.rows(rows):,} rows")
        retained(database, bench.rows(rows))
        stack.sql("VACUUM (ANALYZE) outbox.messages", database)
        cases[label] = drain(database)

    long_backlog = stack.new_database()
    bench.say("10M backlog: inserting")
    stack.sql("SET session_replication_role = replica; SET synchronous_commit = off; "
              "INSERT INTO outbox.messages (routing_key, payload) "
              f"SELECT 'q', repeat('x', 1000) FROM generate_series(1, {bench.rows(10_000_000)})", long_backlog)

    def backlog():
        stack.queue("q")
        with stack.sidecar(OUTBOX_DATABASE_URL=long_backlog) as relay:
            return relay.drain(n)

    cases["10M backlog"] = backlog

    purged = stack.new_database()

    def purge():
        stack.empty_outbox(purged)
        retained(purged, 5 * n, "2 hours")
        figures = drain(purged, OUTBOX_RETENTION="1h")()
        left = int(stack.sql("SELECT count(*) FROM outbox.messages WHERE sent_at < now() - interval '1 hour'", purged))
        return {**figures, "purged meanwhile": 5 * n - left}

    cases["purge running"] = purge

    held, written = stack.new_database(), stack.new_database()
    cases["old snapshot"] = drain(held)
    # It might still insert a row with an id from before the relay's start: harder, and much rarer than a long report.
    cases["old transaction that has written"] = drain(written)
    with old_transaction(held, "SELECT 1"), old_transaction(written, "SELECT txid_current()"), stack.apart():
        bench.alternate(cases)
    for case in ("10M retained", "50M retained", "10M backlog", "purge running", "old snapshot"):
        bench.target_ratio(f"drain beside {case} / plain drain", case, "plain", at_least=0.95)


@contextlib.contextmanager
def old_transaction(database, statement):
    """A transaction that sees everything as it was, for as long as it is open: nothing newer is ever vacuumed."""
    session = subprocess.Popen(["psql", "-qAtX", database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    session.stdin.write(f"BEGIN ISOLATION LEVEL REPEATABLE READ; {statement};\n")
    session.stdin.flush()
    session.stdout.readline()
    try:
        yield
    finally:
        session.stdin.close()
        session.wait()


def plot(samples, pyplot):
    from plots import bars

    return bars(pyplot, samples, "rate", "messages per second, 1 kB")

"""What else empties an outbox into RabbitMQ, on the same servers: see bench/peers/README.md."""

import json
import statistics

from peers.install import NotInstalled
from peers.relays import BODY, QUEUE, Debezium, Failed, Outboxd, PgTransactionalOutbox, Textbook, lone_rows, watch
from stack import eventually

TITLE = "Peers: other relays emptying a backlog of their own table; 1 kB bodies, one classic queue"

CEILING, OURS = "ceiling", "outboxd"
LONE_ROWS = 20
WANTED = 10  # times the rate of a peer


def relays(bench):
    """The slower a relay, the fewer rows: a run of each takes some 20 s."""
    return {
        OURS: Outboxd(bench.rows(200_000)),
        "textbook poller, a wait for each message": Textbook(bench.rows(10_000), "each", 100),
        "textbook poller, a wait for each batch": Textbook(bench.rows(100_000), "batch", 1000),
        "pg-transactional-outbox, polling": PgTransactionalOutbox(bench.rows(2_000), "polling", 50),
        "pg-transactional-outbox, replication": PgTransactionalOutbox(bench.rows(20_000), "replication", 50),
        "Debezium Server": Debezium(bench.rows(200_000)),
    }


def follow(onlooker, relay, rows):
    """Figures of the time between the first message in the queue and the last; the start-up is told apart."""

    def said(lines):
        onlooker.check()
        if relay.process.poll() is not None:
            raise Failed(f"it ended with {relay.process.returncode}: {relay.log.read_text().strip()[-500:]}")
        return onlooker.lines()[1:] if len(onlooker.lines()) > lines else None

    eventually("a first message", lambda: said(1), 60)
    before = relay.cpu()
    first, last = (json.loads(line) for line in eventually("all messages", lambda: said(2), 180))
    after = relay.cpu()
    n, took = last["depth"] - first["depth"], last["at"] - first["at"]
    figures = {"rows": rows, "start_s": first["at"] - relay.started}
    if n > 0 and took > 0:  # a smoke test can be over before the second look
        figures["rate"] = n / took
        for what, then, now in zip(("user", "system"), before, after):
            figures[f"{what}_s_per_million"] = (now - then) / n * 1e6
    return figures


def drain(bench, relay):
    """Of a backlog in a new table, until every row is in the queue, once, and marked."""
    stack = bench.stack
    relay.backlog(stack, relay.rows)
    with watch(stack, relay.rows) as onlooker:
        eventually("the queue is watched", lambda: onlooker.check() or onlooker.lines())
        with relay.running(stack) as process:
            figures = follow(onlooker, process, relay.rows)
            eventually("every row marked", lambda: relay.unsettled(stack) == 0, 30, pause=0.1)
            queued = stack.depth(QUEUE)
            if queued != relay.rows:
                raise Failed(f"{queued} messages in the queue of {relay.rows} rows")
            yield figures
            yield {"peak_rss": process.peak_rss()}
            yield lone(bench, relay, process)


def lone(bench, relay, process):
    """From commit to consumer, of a relay that has nothing else to do."""
    bench.stack.purge_queue(QUEUE)
    with lone_rows(bench.stack, 3 if bench.smoke else LONE_ROWS, relay.one_row()) as probe:
        eventually("lone rows delivered", lambda: probe.process.poll() is not None, 120)
        if probe.process.returncode != 0:
            raise Failed(f"{probe.log.read_text().strip()}; it says: {process.log.read_text().strip()[-200:] or 'nothing'}")
        took = json.loads(probe.lines()[0])
    return {"lone_row_p50_ms": statistics.median(took), "lone_row_max_ms": max(took)}


def ceiling(bench):
    bench.stack.queue(QUEUE)
    return {"rate": bench.stack.bare_publisher([QUEUE], bench.rows(200_000), BODY, event=True)["rate"]}


def measured(bench, name, relay):
    """A peer that fails is reported, with what it did reach, and the others go on. We may not fail."""

    def measure():
        stack, figures = bench.stack, {}
        relay.drop(stack)
        stack.queue(QUEUE)
        relay.create(stack)  # after the queue, to which it may bind an exchange
        try:
            for some in drain(bench, relay):
                figures |= some
        except (Failed, TimeoutError) as e:
            if name == OURS:
                raise
            what = "no figures of lone rows in one run" if figures else f"one run not finished, {stack.depth(QUEUE)} of {relay.rows} messages"
            bench.note(name, f"{what}: {e}")
        finally:
            relay.drop(stack)
        return figures

    return measure


def run(bench):
    cases, peers = {CEILING: lambda: ceiling(bench)}, []
    for name, relay in relays(bench).items():
        if name != OURS:
            peers.append(name)
        try:
            relay.install(fetch=not bench.smoke)
            cases[name] = measured(bench, name, relay)
        except NotInstalled as e:
            bench.note(name, f"not measured: {e}")
    bench.alternate(cases)
    for name in peers:
        bench.target_ratio(f"drain: outboxd / {name}", OURS, name, at_least=WANTED)
        most = bench.median(CEILING) / bench.median(name)
        if most < WANTED:
            bench.note(name, f"nobody could be {WANTED} times as fast: the broker confirms {most:.1f} times its rate to anybody")


def plot(samples, pyplot):
    from plots import bars

    return bars(pyplot, samples, "rate", "messages per second, 1 kB, one classic queue (log)", log=True)

"""What else empties an outbox into RabbitMQ, on the same servers: see bench/peers/README.md."""

import json
import statistics

from peers.install import NotInstalled
from peers.relays import BODY, QUEUE, Debezium, Failed, Outboxd, PgTransactionalOutbox, Textbook, node
from stack import eventually

TITLE = "Peers: other relays emptying a backlog of their own table; 1 kB bodies, one classic queue"

CEILING, OURS = "ceiling", "outboxd"
LONE_ROWS = 20


def relays(bench):
    """The slower a relay, the fewer rows: a run of each takes at most some 20 s."""
    return {
        OURS: Outboxd(bench.rows(200_000)),
        "textbook poller, a wait a message": Textbook(bench.rows(20_000), "each", 100),
        "textbook poller, a wait a batch": Textbook(bench.rows(100_000), "batch", 1000),
        "pg-transactional-outbox, polling": PgTransactionalOutbox(bench.rows(2_000), "polling", 20),
        "pg-transactional-outbox, replication": PgTransactionalOutbox(bench.rows(20_000), "replication", 20),
        "Debezium Server": Debezium(bench.rows(200_000)),
    }


def follow(watch, relay, rows):
    """Figures of the time between the first message in the queue and the last. The start-up is told apart."""

    def said(lines):
        watch.check()
        if relay.process.poll() is not None:
            raise Failed(f"it ended with {relay.process.returncode}: {relay.log.read_text().strip()[-500:]}")
        return watch.lines()[1:] if len(watch.lines()) > lines else None

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


def lone_rows(bench, relay):
    """Milliseconds from commit to consumer, of a relay that has nothing else to do."""
    stack = bench.stack
    stack.purge_queue(QUEUE)
    count = max(3, int(LONE_ROWS * min(1, bench.scale)))
    with node(stack, "lone_rows.js", count, relay.one_row()) as probe:
        eventually("lone rows delivered", lambda: probe.process.poll() is not None, 120)
        probe.check()
        took = json.loads(probe.lines()[0])
    return {"lone_row_p50_ms": statistics.median(took), "lone_row_max_ms": max(took)}


def drain(bench, relay):
    stack = bench.stack
    relay.drop(stack)
    stack.queue(QUEUE)
    relay.create(stack)
    try:
        relay.backlog(stack, relay.rows)
        with node(stack, "watch.js", relay.rows) as watch:
            eventually("the queue is watched", lambda: watch.check() or watch.lines())
            with relay.running(stack) as process:
                figures = follow(watch, process, relay.rows)
                eventually("every row is marked", lambda: relay.unsettled(stack) == 0, 30, pause=0.1)
                queued = stack.depth(QUEUE)
                if queued != relay.rows:
                    raise Failed(f"{queued} messages in the queue of {relay.rows} rows")
                figures |= lone_rows(bench, relay)
                figures["peak_rss"] = process.peak_rss()
    finally:
        relay.drop(stack)
    return figures


def ceiling(bench):
    bench.stack.queue(QUEUE)
    return {"rate": bench.stack.bare_publisher([QUEUE], bench.rows(200_000), BODY)["rate"]}


def measured(bench, name, relay):
    """A peer that fails is reported, and the others go on. We may not fail."""

    def run():
        try:
            return drain(bench, relay)
        except (Failed, TimeoutError) as e:
            if name == OURS:
                raise
            bench.note(name, f"did not finish a run: {e}")
            return {}

    return run


def run(bench):
    cases = {CEILING: lambda: ceiling(bench)}
    missing = []
    for name, relay in relays(bench).items():
        try:
            relay.install()
            cases[name] = measured(bench, name, relay)
        except NotInstalled as e:
            bench.note(name, f"not measured: {e}")
            missing.append(name)
    bench.alternate(cases)
    for name in [*cases, *missing]:
        if name in (CEILING, OURS):
            continue
        bench.target_ratio(f"drain: outboxd / {name}", OURS, name, at_least=10)
        most = bench.median(CEILING) / bench.median(name)
        if most < 10:
            bench.note(name, f"nobody could be 10 times as fast: the broker takes {most:.1f} times its rate")


def plot(samples, pyplot):
    rates = {case: statistics.median(figures["rate"]) for case, figures in samples.items() if "rate" in figures}
    names = sorted(rates, key=rates.get)
    figure, axes = pyplot.subplots(figsize=(9, 0.6 * len(names) + 1.2))
    bars = axes.barh(names, [rates[name] for name in names], color=["C1" if name == OURS else "C0" for name in names])
    axes.bar_label(bars, [f" {rates[name]:,.0f}" for name in names])
    axes.set_xscale("log")
    axes.set_xlabel("messages a second, median")
    axes.set_title(TITLE, fontsize=9)
    axes.margins(x=0.15)
    return figure

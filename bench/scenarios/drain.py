"""How fast a backlog is emptied, against what the broker can take from anybody."""

TITLE = "Drain: a backlog emptied by outboxd, and the bare publisher on the same queue"


def ceiling(bench, kind, body, messages, queues=("q",), connections=1):
    def measure():
        for queue in queues:
            bench.stack.queue(queue, kind)
        figures = bench.stack.bare_publisher(queues, messages, body, connections)
        return {"rate": figures["rate"]}

    return measure


def drain(bench, kind, body, messages, key="NULL", queues=("q",), **settings):
    def measure():
        stack = bench.stack
        for queue in queues:
            stack.queue(queue, kind)
        stack.empty_outbox()
        stack.insert_backlog(messages, body, key, queues)
        with stack.sidecar(**settings) as relay:
            figures = relay.drain(messages)
        stack.expect_depth(queues, messages)
        return figures

    return measure


KEYS = "'k' || n % 10000"


def matrix(bench):
    n = bench.rows(200_000)
    cases = {}
    for kind in ("classic", "quorum"):
        cases[f"{kind} 1 kB ceiling"] = ceiling(bench, kind, 1000, n)
        cases[f"{kind} 1 kB"] = drain(bench, kind, 1000, n)
        cases[f"{kind} 1 kB, 10,000 keys"] = drain(bench, kind, 1000, n, KEYS)
        cases[f"{kind} 1 kB, delete on ack"] = drain(bench, kind, 1000, n, OUTBOX_RETENTION="0s")
    return cases


def run(bench):
    bench.alternate(matrix(bench))
    for kind, least in (("classic", 0.95), ("quorum", 0.90)):
        for what in ("1 kB", "1 kB, 10,000 keys"):
            bench.target_ratio(f"drain / ceiling, {kind}, {what}", f"{kind} {what}", f"{kind} 1 kB ceiling", at_least=least)
    bench.target_ratio("drain / ceiling, quorum, delete on ack", "quorum 1 kB, delete on ack", "quorum 1 kB ceiling", at_least=0.95)
    worst = max(bench.median(case, "user_s_per_million") + bench.median(case, "system_s_per_million") for case in ("classic 1 kB", "classic 1 kB, 10,000 keys"))
    bench.target("CPU of outboxd, seconds per million 1 kB messages", worst, at_most=6)
    bench.target("RSS under full load, MB", bench.median("classic 1 kB", "peak_rss") / 1e6, at_most=100)

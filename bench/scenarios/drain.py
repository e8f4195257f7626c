"""How fast a backlog is emptied, against what the broker can take from anybody."""

TITLE = "Drain: a backlog emptied by outboxd, and the bare publisher on the same queue"

KEYS = "'k' || n % 10000"
FOUR = ("q1", "q2", "q3", "q4")


def ceiling(bench, kind, body, messages, queues=("q",), connections=1, event=True):
    """The bare publisher; event: with the properties that make a message an event (id, time, type), as outboxd sends them."""

    def measure():
        for queue in queues:
            bench.stack.queue(queue, kind)
        return {"rate": bench.stack.bare_publisher(queues, messages, body, connections, event=event)["rate"]}

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


def run(bench):
    n = bench.rows(200_000)
    cases = {}
    for kind in ("classic", "quorum"):
        cases[f"{kind} ceiling"] = ceiling(bench, kind, 1000, n)
        cases[f"{kind} ceiling, bodies only"] = ceiling(bench, kind, 1000, n, event=False)
        cases[f"{kind}, no key"] = drain(bench, kind, 1000, n)
        cases[f"{kind}, 10,000 keys"] = drain(bench, kind, 1000, n, KEYS)
        cases[f"{kind}, delete on ack"] = drain(bench, kind, 1000, n, OUTBOX_RETENTION="0s")
    cases["four classic queues ceiling"] = ceiling(bench, "classic", 1000, n, FOUR, 4)
    cases["four classic queues"] = drain(bench, "classic", 1000, n, queues=FOUR, OUTBOX_CONNECTIONS=4)
    bench.alternate(cases)

    for kind, least in (("classic", 0.95), ("quorum", 0.90)):
        for what in ("no key", "10,000 keys"):
            bench.target_ratio(f"drain / ceiling, 1 kB, {kind}, {what}", f"{kind}, {what}", f"{kind} ceiling", at_least=least)
            text = f"the same / a publisher of bodies without properties, {kind}, {what}"
            bench.target_ratio(text, f"{kind}, {what}", f"{kind} ceiling, bodies only", at_least=least)
    bench.target_ratio("drain / ceiling, 1 kB, quorum, delete on ack", "quorum, delete on ack", "quorum ceiling", at_least=0.95)
    bench.target_ratio(
        "drain / ceiling, four classic queues, OUTBOX_CONNECTIONS=4", "four classic queues", "four classic queues ceiling", at_least=0.90
    )
    for case in ("classic, no key", "classic, 10,000 keys"):
        cpu = bench.median(case, "user_s_per_million") + bench.median(case, "system_s_per_million")
        bench.target(f"CPU of outboxd, seconds per million 1 kB messages, {case}", cpu, at_most=6)
    bench.target("RSS under full load, MB", max(bench.median(case, "peak_rss") for case in cases if "ceiling" not in case) / 1e6, at_most=100)


def plot(samples, pyplot):
    from plots import bars

    return bars(pyplot, samples, "rate", "messages per second, 1 kB")

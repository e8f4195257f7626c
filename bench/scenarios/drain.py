"""How fast a backlog is emptied, against what the broker can take from anybody. The broker has half of the cores, the
database and whoever publishes the others; else a faster broker would be slowed down by what reading and marking costs,
and the ceiling would be that of the machine."""

TITLE = "Drain: a backlog emptied by outboxd, and the bare publisher on the same queue"

KEYS = "'k' || n % 10000"
FOUR = ("q1", "q2", "q3", "q4")
CONNECTIONS = 2  # outboxd's default, so the ceiling's too: two connections to one queue cost the broker more than one
SHARED = ", everything on all cores"


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


def on_all_cores(stack, case):
    """The case with everything on all cores, as on one small machine."""

    def measure():
        with stack.apart(False):
            return case()

    return measure


def run(bench):
    n = bench.rows(200_000)
    cases = {}
    for kind in ("classic", "quorum"):
        cases[f"{kind} ceiling"] = ceiling(bench, kind, 1000, n, connections=CONNECTIONS)
        cases[f"{kind} ceiling, one connection"] = ceiling(bench, kind, 1000, n)
        cases[f"{kind} ceiling, bodies only"] = ceiling(bench, kind, 1000, n, connections=CONNECTIONS, event=False)
        cases[f"{kind}, no key"] = drain(bench, kind, 1000, n)
        cases[f"{kind}, 10,000 keys"] = drain(bench, kind, 1000, n, KEYS)
        cases[f"{kind}, delete on ack"] = drain(bench, kind, 1000, n, OUTBOX_RETENTION="0s")
    cases["four classic queues ceiling"] = ceiling(bench, "classic", 1000, n, FOUR, 4)
    cases["four classic queues"] = drain(bench, "classic", 1000, n, queues=FOUR, OUTBOX_CONNECTIONS=4)
    shared = [f"{kind}{what}" for kind in ("classic", "quorum", "four classic queues") for what in (" ceiling", ", no key", "")]
    for name in [name for name in shared if name in cases]:
        cases[f"{name}{SHARED}"] = on_all_cores(bench.stack, cases[name])
    with bench.stack.apart():
        bench.alternate(cases)

    for kind, least in (("classic", 0.95), ("quorum", 0.90)):
        for what in ("no key", "10,000 keys"):
            bench.target_ratio(f"drain / ceiling, 1 kB, {kind}, {what}", f"{kind}, {what}", f"{kind} ceiling", at_least=least)
        what = f", no key{SHARED}"
        bench.target_ratio(f"drain / ceiling, 1 kB, {kind}{what}", f"{kind}{what}", f"{kind} ceiling{SHARED}", at_least=least)
    bench.target_ratio("drain / ceiling, 1 kB, quorum, delete on ack", "quorum, delete on ack", "quorum ceiling", at_least=0.95)
    for where in ("", SHARED):
        text = f"drain / ceiling, four classic queues, OUTBOX_CONNECTIONS=4{where}"
        bench.target_ratio(text, f"four classic queues{where}", f"four classic queues ceiling{where}", at_least=0.90)
    for case in ("classic, no key", "classic, 10,000 keys"):
        cpu = bench.median(case, "user_s_per_million") + bench.median(case, "system_s_per_million")
        bench.target(f"CPU of outboxd, seconds per million 1 kB messages, {case}", cpu, at_most=6)
    bench.target("RSS under full load, MB", max(bench.median(case, "peak_rss") for case in cases if "ceiling" not in case) / 1e6, at_most=100)


def plot(samples, pyplot):
    from plots import bars

    return bars(pyplot, samples, "rate", "messages per second, 1 kB")

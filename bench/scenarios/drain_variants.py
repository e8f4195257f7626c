"""The drain with one thing changed at a time: body, backlog, hot key."""

from scenarios.drain import KEYS, ceiling, drain

TITLE = "Drain, one thing changed at a time"


def run(bench):
    n = bench.rows(200_000)
    cases = {}
    for kind in ("classic", "quorum"):
        for name, body, rows in (("200 B", 200, n), ("16 kB", 16_000, n // 5)):
            cases[f"{kind}, {name}, ceiling"] = ceiling(bench, kind, body, rows)
            cases[f"{kind}, {name}"] = drain(bench, kind, body, rows)
            cases[f"{kind}, {name}, 10,000 keys"] = drain(bench, kind, body, rows, KEYS)
    # Strict order is one confirm round trip a row: fewer rows say the same.
    cases["classic, 1 kB, one hot key, strict"] = drain(bench, "classic", 1000, n // 20, "'hot'")
    cases["classic, 1 kB, one hot key, pipelined"] = drain(bench, "classic", 1000, n, "'hot'", OUTBOX_ORDERING="pipelined")
    bench.alternate(cases, min(bench.rounds, 3))
    million = bench.rows(1_000_000)
    bench.alternate(
        {
            "classic, 1 kB, a million rows, ceiling": ceiling(bench, "classic", 1000, million),
            "classic, 1 kB, a million rows": drain(bench, "classic", 1000, million),
            "quorum, 1 kB, a million rows, ceiling": ceiling(bench, "quorum", 1000, million),
            "quorum, 1 kB, a million rows": drain(bench, "quorum", 1000, million),
        },
        1,
    )


def plot(samples, pyplot):
    from plots import bars

    return bars(pyplot, samples, "rate", "messages per second")

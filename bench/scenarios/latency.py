"""How long a committed row takes to the broker's confirm, and to a consumer."""

import contextlib
import json
import subprocess

TITLE = "Latency: a lone row against its floor, and rows under a steady load"

BODY = 1000
ROWS_PER_COMMIT = 10  # one row each is more commits than the machine has for 80 % of the ceiling
WRITERS = 8
CONNECTIONS = 2  # outboxd's default
SHARES = (20, 50, 80)
PERCENTILES = ("p10", "p25", "p50", "p75", "p90", "p95", "p99", "p999", "max")


class Watch:
    """The program that stands around an outboxd: writes rows, sees what is published, consumes."""

    def __init__(self, stack, queue):
        command = [stack.tool("latency"), "--database", stack.database_url, "--amqp", stack.amqp_url]
        command += ["--queue", queue, "--size", str(BODY)]
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.proxy = self.answer()["proxy"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"latency ended with {self.process.wait()}")
        return json.loads(line)

    def do(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


@contextlib.contextmanager
def watched(bench):
    """A Watch with an idle outboxd inside."""
    stack = bench.stack
    stack.empty_outbox()
    watch = Watch(stack, stack.queue("latency"))
    try:
        with stack.sidecar(OUTBOX_AMQP_URL=watch.proxy):
            yield watch
    finally:
        watch.close()


def figures(leg, milliseconds):
    return {f"{leg} {p}": milliseconds[p] / 1000 for p in PERCENTILES}


def legs(answer):
    """To the confirm and to the consumer, in milliseconds."""
    return {**figures("confirm", answer["confirm"]), **figures("consumer", answer["consumer"])}


def lone(bench, name, pairs, least, most):
    """Of one run two cases: each lone row is followed by its floor."""

    def measure():
        with watched(bench) as watch:
            answer = watch.do("lone", max(5, int(pairs * bench.scale)), least, most)
        for figure, value in legs(answer["floor"]).items():
            bench.record(f"{name}: floor", figure, value)
        return legs(answer["lone"])

    return measure


def steady(bench, share, ceiling):
    def measure():
        rate = share / 100 * ceiling
        with watched(bench) as watch:
            answer = watch.do("steady", rate, ROWS_PER_COMMIT, WRITERS, max(1, 20 * bench.scale))
        return {
            **legs(answer["steady"]),
            "rows per second": answer["written_per_second"],
            "behind schedule p99": answer["late"]["p99"] / 1000,
        }

    return measure


LONE = {"lone row, every 20 to 50 ms": (300, 20, 50), "lone row, every 0.3 to 1.5 s": (20, 300, 1500)}


def run(bench):
    def ceiling():
        bench.stack.queue("q")
        return {"rate": bench.stack.bare_publisher(["q"], bench.rows(200_000), BODY, CONNECTIONS, event=True)["rate"]}

    bench.alternate({"ceiling": ceiling}, rounds=3)
    top = bench.median("ceiling")
    bench.alternate({name: lone(bench, name, *how) for name, how in LONE.items()})
    bench.alternate({f"{share} % of the ceiling": steady(bench, share, top) for share in SHARES})

    name = next(iter(LONE))
    bench.target_ratio("lone row, commit → confirm, p50 / floor", name, f"{name}: floor", "confirm p50", at_most=1.5)
    bench.target_ratio("lone row, commit → confirm, p99 / floor", name, f"{name}: floor", "confirm p99", at_most=3)
    half = "50 % of the ceiling"
    p50, p99 = bench.median(half, "confirm p50"), bench.median(half, "confirm p99")
    bench.target("commit → confirm at half of the ceiling, p99, ms", p99, at_most=50)
    bench.target("commit → confirm at half of the ceiling, p99 / p50", p99 / p50, at_most=10)


def plot(samples, pyplot):
    """Percentiles, each the median of the runs: lone rows beside their floors, and the loads."""
    import statistics

    shares = (10, 25, 50, 75, 90, 95, 99, 99.9)
    drawing, panels = pyplot.subplots(1, 2, figsize=(12, 4.5), sharey=True)
    for case, of in samples.items():
        if "confirm p50" not in of:
            continue
        axes = panels[0] if case.startswith("lone") else panels[1]
        y = [statistics.median(of[f"confirm {p}"]) for p in PERCENTILES[:-1]]
        axes.plot(range(len(y)), y, "--" if "floor" in case else "-", marker=".", label=case)
    for axes, title in zip(panels, ("a lone row: COMMIT sent to confirm", "steady load: COMMIT returned to confirm")):
        axes.set_title(title)
        axes.set_xticks(range(len(shares)), [f"p{s:g}" for s in shares])
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    panels[0].set_ylabel("milliseconds")
    return drawing

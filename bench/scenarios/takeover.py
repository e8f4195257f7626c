"""How long nothing is delivered when the lead passes on, while a service goes on writing."""

import contextlib
import signal
import subprocess

from stack import eventually

TITLE = "Take-over: the longest pause in delivery, two replicas, 200 rows a second"

# Case: what happens to the leader, how long the writer goes on (s), what we hold ourselves to (ms).
CASES = {
    "leader told to stop (SIGTERM)": (signal.SIGTERM, 6, 1_000),
    "leader killed (SIGKILL)": (signal.SIGKILL, 6, 1_000),
    "leader paused (SIGSTOP)": (signal.SIGSTOP, 22, 15_000),
}
ROW = "INSERT INTO outbox.messages (routing_key, payload) VALUES ('q', repeat('x', 200));\n"


def run(bench):
    stack = bench.stack

    def measure(what, seconds):
        stack.queue("q")
        stack.empty_outbox()
        script = stack.path("takeover.sql")
        script.write_text(ROW)
        writer = ["pgbench", "-n", "-M", "prepared", "-c", "4", "-R", "200", "-T", str(seconds), "-f", str(script), stack.database_url]
        with contextlib.ExitStack() as both:
            replicas = [both.enter_context(stack.sidecar(OUTBOX_INSTANCE_ID=f"replica-{n}")) for n in (0, 1)]
            eventually("one leads", lambda: any(r.metric("outbox_leader") for r in replicas))
            leader = next(r for r in replicas if r.metric("outbox_leader"))
            other = next(r for r in replicas if r is not leader)
            eventually("the other stands by", lambda: other.metric("outbox_db_connected"))
            writing = subprocess.Popen(writer, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            eventually("it is under way", lambda: leader.confirmed() >= 200)
            leader.process.send_signal(what)
            eventually("the other leads", lambda: other.metric("outbox_leader"))
            if writing.wait() != 0:
                raise RuntimeError("pgbench failed")
            eventually("all rows sent", lambda: stack.sql("SELECT count(*) FROM outbox.messages WHERE status <> 'sent'") == "0")
            if what == signal.SIGSTOP:
                leader.process.send_signal(signal.SIGCONT)
        rows, pause = stack.sql(
            "SELECT count(*) || ' ' || 1000 * max(extract(epoch FROM pause)) "
            "FROM (SELECT sent_at - lag(sent_at) OVER (ORDER BY sent_at) AS pause FROM outbox.messages) AS sent"
        ).split()
        return {"longest pause, ms": float(pause), "duplicates": stack.depth("q") - int(rows)}

    chosen = list(CASES)[: 1 if bench.smoke else None]
    bench.alternate({case: lambda c=case: measure(*CASES[c][:2]) for case in chosen}, min(bench.rounds, 3))
    for case, (_, _, limit) in CASES.items():
        bench.target(f"{case}: longest pause in delivery, ms", bench.median(case, "longest pause, ms"), at_most=limit)


def plot(samples, pyplot):
    from plots import bars

    return bars(pyplot, samples, "longest pause, ms", "milliseconds, two replicas", log=True)

"""What outboxd costs while there is nothing to do, and how long it takes to begin."""

import time

from stack import eventually, run as command

TITLE = "Footprint: memory, idle cost, start"


def run(bench):
    stack = bench.stack
    stack.queue("q")
    stack.configure(shared_preload_libraries="pg_stat_statements")
    stack.sql("CREATE EXTENSION pg_stat_statements")

    binary = stack.outboxd
    bench.record("binary", "bytes with debug information", binary.stat().st_size)
    stripped = stack.path("stripped")
    command("strip", "-o", stripped, binary)
    bench.record("binary", "bytes stripped", stripped.stat().st_size)

    def start():
        stack.empty_outbox()
        stack.insert_backlog(1, 1000)
        with stack.sidecar() as relay:
            eventually("first confirm", lambda: relay.confirmed() > 0, pause=0.002)
            return {"exec to first confirm, ms": (time.monotonic() - relay.started) * 1000}

    bench.alternate({"start": start})

    seconds = max(3, round(60 * bench.scale))

    def quiet(*sidecars):
        """CPU of each in percent of a core and statements a minute of all, over a stretch in which nothing happens."""
        stack.sql("SELECT pg_stat_statements_reset()")
        before, begun = [sum(s.cpu()) for s in sidecars], time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - begun
        cpu = [(sum(s.cpu()) - b) / took * 100 for s, b in zip(sidecars, before)]
        calls = stack.sql("SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'")
        return cpu, float(calls) / took * 60

    def idle():
        stack.empty_outbox()
        with stack.sidecar() as leader:
            eventually("lead", lambda: leader.metric("outbox_leader") == 1)
            stack.insert_backlog(1000, 1000)
            eventually("1,000 confirmed", lambda: leader.confirmed() >= 1000)
            eventually("marked", lambda: stack.sql("SELECT count(*) FROM outbox.messages WHERE status <> 'sent'") == "0")
            [leader_cpu], leader_calls = quiet(leader)
            with stack.sidecar() as standby:
                eventually("standby", lambda: standby.metric("outbox_db_connected") == 1)
                [_, standby_cpu], calls = quiet(leader, standby)
                return {
                    "leader RSS, MB": leader.rss() / 1e6,
                    "standby RSS, MB": standby.rss() / 1e6,
                    "leader CPU, % of a core": leader_cpu,
                    "standby CPU, % of a core": standby_cpu,
                    "leader statements a minute": leader_calls,
                    "standby statements a minute": calls - leader_calls,
                }

    bench.alternate({"idle": idle}, min(bench.rounds, 3))
    bench.target("RSS idle, MB", bench.median("idle", "leader RSS, MB"), at_most=25)
    bench.target("RSS standby, MB", bench.median("idle", "standby RSS, MB"), at_most=20)
    bench.target("idle CPU of the leader, % of a core", bench.median("idle", "leader CPU, % of a core"), at_most=0.1)
    bench.target("idle CPU of a standby, % of a core", bench.median("idle", "standby CPU, % of a core"), at_most=0.1)
    bench.target("idle statements a minute of the leader", bench.median("idle", "leader statements a minute"), at_most=150)
    bench.target("idle statements a minute of a standby", bench.median("idle", "standby statements a minute"), at_most=150)

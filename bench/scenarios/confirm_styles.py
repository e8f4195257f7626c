"""The ways of publishing that users' tutorials compare, on this broker."""

TITLE = "Confirm styles: what a service would get by publishing itself"

STYLES = {
    "transactions, one message each": ("tx", 1, 2_000),
    "transactions, 100 messages each": ("tx", 100, 50_000),
    "confirms, one by one": ("window", 1, 10_000),
    "confirms, batches of 100": ("batch", 100, 100_000),
    "confirms, window of 1,000": ("window", 1_000, 200_000),
}


def run(bench):
    def publish(kind, style, window, messages):
        def measure():
            bench.stack.queue("q", kind)
            return {"rate": bench.stack.bare_publisher(["q"], bench.rows(messages), 1000, 1, window, style)["rate"]}

        return measure

    cases = {}
    for kind in ("classic", "quorum"):
        for name, (style, window, messages) in STYLES.items():
            if kind == "quorum" and style == "tx":
                continue  # documented: quorum queues take no transactions
            cases[f"{kind}: {name}"] = publish(kind, style, window, messages)
    bench.alternate(cases)
    bench.note("quorum: transactions", "not measured: quorum queues do not support them")


def plot(samples, pyplot):
    from plots import bars

    return bars(pyplot, samples, "rate", "messages per second, 1 kB", log=True)

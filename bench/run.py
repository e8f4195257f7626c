"""Measures outboxd on this machine: see bench/README.md. Started by ./dev bench."""

import argparse
import datetime
import importlib
import pathlib
import platform
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from report import Report, machine  # noqa: E402
from stack import ROOT, Stack  # noqa: E402

SCENARIOS = [f.stem for f in sorted((HERE / "scenarios").glob("*.py"))]


class Bench:
    """What a scenario is given."""

    def __init__(self, scenario, report, stack, options):
        self.scenario, self.report, self.stack = scenario, report, stack
        self.rounds, self.scale, self.smoke = options.rounds, options.scale, options.smoke

    def rows(self, count):
        """A number of rows, or of seconds, at this scale."""
        return max(100, int(count * self.scale))

    def say(self, text):
        print(f"    {text}", flush=True)

    def record(self, case, figure, value):
        self.report.record(self.scenario, case, figure, value)

    def note(self, case, text):
        """Something that a reader of the figures has to know, such as why one is missing."""
        self.report.notes.append((self.scenario, case, text))
        self.say(f"{case}: {text}")

    def alternate(self, cases, rounds=None):
        """Calls all cases in turn, in rotated order, and records what they return: {figure: value}."""
        names = list(cases)
        for round_ in range(rounds or self.rounds):
            turn = round_ % len(names)
            for name in names[turn:] + names[:turn]:
                started = time.monotonic()
                figures = cases[name]()
                for figure, value in figures.items():
                    self.record(name, figure, value)
                shown = "  ".join(f"{k} {v:,.4g}" for k, v in figures.items())
                self.say(f"{round_ + 1}/{rounds or self.rounds} {name:40} {shown}  [{time.monotonic() - started:.0f} s]")

    def median(self, case, figure="rate"):
        return self.report.median(self.scenario, case, figure)

    def target(self, text, value, at_least=None, at_most=None):
        self.report.target(self.scenario, text, value, at_least, at_most)

    def target_ratio(self, text, case, base, figure="rate", at_least=None, at_most=None):
        """The median of the ratios within each round: what slows the machine down for a while slows down both."""
        rounds = zip(self.report.values(self.scenario, case, figure), self.report.values(self.scenario, base, figure))
        ratios = [value / below for value, below in rounds if below]
        self.target(text, statistics.median(ratios) if ratios else float("nan"), at_least, at_most)


def draw(directory, name, scenario, report):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = scenario.plot(report.samples[name], pyplot)
    figure.savefig(directory / f"{name}.png", dpi=110, bbox_inches="tight")
    pyplot.close(figure)


def revision():
    try:
        said = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return said.stdout.strip()


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measures outboxd on this machine.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"of: {', '.join(SCENARIOS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of each case (default: 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of all row counts and durations")
    parser.add_argument("--smoke", action="store_true", help="one round of tiny sizes, no plots: does everything run?")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release", help="where the programs were built")
    parser.add_argument("--out", type=pathlib.Path, help="directory of the results (default: bench/results/DATE-HOST)")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.scale = 1, 0.01
    unknown = set(options.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    chosen = [s for s in SCENARIOS if s in options.scenarios] or SCENARIOS
    out = options.out or HERE / "results" / f"{datetime.date.today()}-{platform.node()}"
    out.mkdir(parents=True, exist_ok=True)

    about = {
        "machine": machine(),
        "revision": revision(),
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": "./dev bench " + " ".join(sys.argv[1:]),
    }
    report, titles, failed, stack = Report(), {}, [], None
    for name in chosen:
        scenario = importlib.import_module(f"scenarios.{name}")
        titles[name] = scenario.TITLE
        print(f"==> {name}: {scenario.TITLE}", flush=True)
        # Each scenario starts with servers that have done nothing yet; a smoke test has no time for that.
        if not options.smoke or stack is None:
            stack = Stack(options.build, aged=not options.smoke)
        try:
            scenario.run(Bench(name, report, stack, options))
        except Exception as e:  # the others are still worth having; the exit status tells
            failed.append(name)
            report.notes.append((name, "failed", str(e)))
            print(f"    {name} FAILED: {e}", file=sys.stderr, flush=True)
        finally:
            if not options.smoke or name == chosen[-1]:
                stack.close()
        # After each scenario, so that an interrupted run leaves what it has.
        (out / "results.json").write_text(report.json(about) + "\n")
        (out / "table.md").write_text(report.markdown(about, titles))
        if not options.smoke and hasattr(scenario, "plot") and report.samples.get(name):
            draw(out, name, scenario, report)
    print((out / "table.md").read_text())
    print(f"==> {out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""What a run has measured: samples, their medians and ratios, as JSON and as a table."""

import json
import platform
import re
import statistics
import subprocess


def machine():
    """What the figures depend on."""

    def first(command):
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip().splitlines()[0]
        except (OSError, IndexError, subprocess.TimeoutExpired):
            return "?"

    def package(name):
        return first(["dpkg-query", "-W", "-f", "${Version}", name])

    with open("/proc/cpuinfo", encoding="utf-8") as f:
        text = f.read()
    models = re.findall(r"model name\s*: (.*)", text)
    with open("/proc/meminfo", encoding="utf-8") as f:
        memory = int(re.search(r"MemTotal:\s*(\d+)", f.read()).group(1))
    with open("/etc/os-release", encoding="utf-8") as f:
        system = re.search(r'PRETTY_NAME="(.*)"', f.read()).group(1)
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": len(models),
        "memory_gib": round(memory / 2**20, 1),
        "system": system,
        "kernel": platform.release(),
        "postgresql": package("postgresql-15") or first(["psql", "--version"]),
        "rabbitmq": package("rabbitmq-server"),
        "erlang": package("erlang-base"),
        "compiler": first(["c++", "--version"]),
        "everything_on_one_machine": True,
    }


def number(value):
    if value != value:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


class Report:
    def __init__(self):
        self.samples = {}  # scenario -> case -> figure -> [value]
        self.notes = []  # (scenario, case, text)
        self.targets = []

    def record(self, scenario, case, figure, value):
        self.samples.setdefault(scenario, {}).setdefault(case, {}).setdefault(figure, []).append(float(value))

    def values(self, scenario, case, figure):
        return self.samples.get(scenario, {}).get(case, {}).get(figure, [])

    def median(self, scenario, case, figure):
        values = self.values(scenario, case, figure)
        return statistics.median(values) if values else float("nan")

    def target(self, scenario, text, value, at_least=None, at_most=None):
        """A figure to reach. value: nan where it was not measured in this run."""
        limit = at_least if at_least is not None else at_most
        if value != value:
            verdict = "not measured"
        else:
            verdict = "yes" if (value >= limit if at_least is not None else value <= limit) else "NO"
        sign = "≥" if at_least is not None else "≤"
        self.targets.append({"scenario": scenario, "what": text, "value": value, "wanted": f"{sign} {limit:g}", "reached": verdict})

    def json(self, about):
        return json.dumps({**about, "samples": self.samples, "targets": self.targets, "notes": self.notes}, indent=1)

    def target_table(self):
        lines = ["| what | wanted | measured | reached |", "|---|---|---|---|"]
        lines += [f"| {t['what']} | {t['wanted']} | {number(t['value'])} | {t['reached']} |" for t in self.targets]
        return "\n".join(lines) + "\n"

    def figure_table(self, scenario):
        lines = ["| case | figure | median | least | most | runs |", "|---|---|---|---|---|---|"]
        for case, figures in self.samples.get(scenario, {}).items():
            for figure, values in figures.items():
                spread = f"{number(statistics.median(values))} | {number(min(values))} | {number(max(values))}"
                lines.append(f"| {case} | {figure} | {spread} | {len(values)} |")
        return "\n".join(lines) + "\n"

    def markdown(self, about, titles):
        parts = ["# ./dev bench", describe(about)]
        if self.targets:
            parts += ["## Figures to reach", self.target_table()]
        for scenario, title in titles.items():
            parts += [f"## {title}", self.figure_table(scenario)]
            parts += [f"- {case}: {text}" for where, case, text in self.notes if where == scenario]
        return "\n\n".join(p.strip() for p in parts) + "\n"


def describe(about):
    lines = [f"- {name}: {about[name]}" for name in ("command", "revision", "started")]
    lines += [f"- {name}: {value}" for name, value in about["machine"].items()]
    return "\n".join(lines) + "\n"

"""Writes the figures of a run into docs/performance.md, or says where they differ (--check).

The document names the run, and what stands between is made here:
  <!-- machine DIRECTORY --> … <!-- end -->
  <!-- targets DIRECTORY --> … <!-- end -->
  <!-- figures DIRECTORY SCENARIO FIGURE… --> … <!-- end -->     names with spaces in quotes; cases that have any of them"""

import argparse
import json
import pathlib
import re
import shlex
import statistics
import sys
import textwrap

from report import Report, describe, number

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/performance.md"
QUOTED = re.compile(r"(<!-- (figures|machine|targets) (\S+?)((?: \S+)*) -->\n).*?(<!-- end -->)", re.S)


def load(directory):
    report = Report()
    data = json.loads((ROOT / directory / "results.json").read_text())
    report.samples, report.targets, report.notes = data["samples"], data["targets"], data["notes"]
    return report, data


def spread(values):
    if not values:
        return ""
    least, median, most = (number(f(values)) for f in (min, statistics.median, max))
    return median if least == most else f"{median} ({least} to {most})"


def figure_table(samples, names):
    lines = [" | ".join(["| case", *names]) + " |", "|---" * (len(names) + 1) + "|"]
    for case, figures in samples.items():
        if any(name in figures for name in names):
            lines.append(" | ".join([f"| {case}", *(spread(figures.get(name)) for name in names)]) + " |")
    return "\n".join(lines)


def wrapped(items):
    """Items of a list, as wide as the document."""
    return "\n".join(textwrap.fill(item, 120, subsequent_indent="  ", break_on_hyphens=False) for item in items.splitlines())


def quoted(match):
    head, what, directory, words, end = match.groups()
    report, data = load(directory)
    if what == "machine":
        text = wrapped(describe(data))
    elif what == "targets":
        text = report.target_table()
    else:
        scenario, *names = shlex.split(words)
        text = figure_table(report.samples[scenario], names)
    return f"{head}{text.strip()}\n{end}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where the document differs")
    options = parser.parse_args()
    before = DOCUMENT.read_text()
    after = QUOTED.sub(quoted, before)
    if options.check and after != before:
        print("docs/performance.md does not say what its run has measured: run bench/quote.py", file=sys.stderr)
        return 1
    if not options.check:
        DOCUMENT.write_text(after)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Plots that scenarios share."""

import statistics


def bars(pyplot, samples, figure, label, log=False):
    """A bar for the median of each case, every sample as a point on it."""
    cases = [(case, figures[figure]) for case, figures in samples.items() if figure in figures]
    drawing, axes = pyplot.subplots(figsize=(9, 0.6 + 0.34 * len(cases)))
    for y, (case, values) in enumerate(cases):
        axes.barh(y, statistics.median(values), color="#9a9a9a" if "ceiling" in case or "floor" in case else "#4878a8", height=0.7)
        axes.plot(values, [y] * len(values), ".", color="black", markersize=4)
    axes.set_yticks(range(len(cases)), [case for case, _ in cases])
    axes.invert_yaxis()
    axes.set_xlabel(label)
    if log:
        axes.set_xscale("log")
    axes.grid(axis="x", alpha=0.3)
    return drawing

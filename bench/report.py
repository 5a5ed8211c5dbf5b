#!/usr/bin/env python3
# bench/report.py -- one HTML page, with its plots inside, from the JSON files of measurements.
#
# report.py [--output build/bench/report.html] FILE.json ...      (default: the newest of each kind)
#
# Needs python3-matplotlib (Debian). The page loads nothing from anywhere.
import argparse
import glob
import html
import io
import json
import os
import re
import sys

try:
    import matplotlib
except ImportError:
    sys.exit("no matplotlib: apt-get install python3-matplotlib, and run it with /usr/bin/python3")
matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
OURS, THEIRS, THIRD, INK = "#1f5fa8", "#b0b7bf", "#d98a1f", "#222222"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #eee; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
.met { color: #1c7a3a; } .unmet { color: #b3261e; } .note { color: #666; font-size: .87rem; }
figure { margin: 1rem 0; } svg { max-width: 100%; height: auto; }
"""


def colour_of(name):
    return OURS if name.startswith("backstay") or name == "taken" else \
        THIRD if "postfix" in name or name == "refused" else THEIRS


def number(value):
    if value is None:
        return ""
    if value == 0 or 0.01 <= abs(value) < 100:
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"


def frame(width=8.2, height=3.2):
    figure, axes = plt.subplots(figsize=(width, height))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(colors=INK, labelsize=9)
    return figure, axes


def nothing():
    """In the place of a plot of which no side has a value."""
    figure, axes = frame(height=0.8)
    axes.axis("off")
    axes.annotate("nothing was measured", (0, 0.5), fontsize=9, color=INK)
    return figure


def bars(plot):
    """One bar a side, the spread of its rounds as a line over it."""
    values = {name: value for name, value in plot["values"].items() if value is not None}
    if not values:
        return nothing()
    figure, axes = frame(height=0.6 + 0.42 * max(2, len(values)))
    names, heights = list(values)[::-1], list(values.values())[::-1]
    axes.barh(names, heights, color=[colour_of(name) for name in names], height=0.62)
    furthest = max(heights)
    for place, name in enumerate(names):
        low_high = (plot.get("spreads") or {}).get(name)
        if low_high and low_high[0] != low_high[1]:
            axes.plot(low_high, [place, place], color=INK, linewidth=1.2, marker="|", markersize=7)
        end = max([values[name]] + (low_high or []))
        furthest = max(furthest, end)
        axes.annotate(f" {number(values[name])} {plot['unit']}", (end, place), va="center",
                      fontsize=9, color=INK)
    if plot.get("log"):
        axes.set_xscale("log")
        axes.set_xlim(min(heights) / 3, furthest * 4)
    else:
        axes.set_xlim(0, furthest * 1.28)
    axes.set_xlabel(plot["unit"] + (", logarithmic" if plot.get("log") else ""), fontsize=9)
    return figure


def percentiles(plot):
    """Latency over the share of messages that are slower, both logarithmic: the tail is seen."""
    series = {name: parts for name, parts in plot["series"].items() if parts}
    if not series:
        return nothing()
    figure, axes = frame(height=3.8)
    for name, parts in series.items():
        total, below, shares, values = sum(count for _, count in parts), 0, [], []
        for upper, count in parts:
            shares.append((total - below) / total)
            values.append(upper / 1000)
            below += count
        axes.step(shares, values, where="post", label=name, color=colour_of(name), linewidth=1.8)
    for name, value in (plot.get("marks") or {}).items():
        if value:
            axes.axhline(value / 1000, color=INK, linewidth=1, linestyle=":")
            axes.annotate(f"{name}: {number(value / 1000)} ms", (1, value / 1000), fontsize=8,
                          xytext=(4, 3), textcoords="offset points", color=INK)
    axes.set(xscale="log", yscale="log")
    ticks = [1, 0.5, 0.1, 0.01, 0.001, 0.0001]
    axes.set_xticks(ticks, ["all", "p50", "p90", "p99", "p99.9", "p99.99"])
    axes.minorticks_off()
    axes.set_xlim(1.1, 1e-4)
    axes.set_ylabel("ms, logarithmic", fontsize=9)
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda y, _: number(y)))
    axes.grid(axis="both", color="#eeeeee")
    axes.legend(fontsize=9, frameon=False)
    return figure


def lines(plot):
    """Something each second."""
    figure, axes = frame()
    for name, values in plot["series"].items():
        axes.plot(range(1, len(values) + 1), values, label=name, color=colour_of(name),
                  linewidth=1.8, linestyle="--" if colour_of(name) == THEIRS else "-")
    for name, value in (plot.get("marks") or {}).items():
        axes.axhline(value, color=INK, linewidth=1, linestyle=":")
        axes.annotate(name, (1, value), xytext=(0, 3), textcoords="offset points", fontsize=8)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axes.set_xlabel("second of the run", fontsize=9)
    axes.set_ylabel(plot["unit"], fontsize=9)
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda y, _: number(y)))
    axes.legend(fontsize=9, frameon=False)
    return figure


KINDS = {"bars": bars, "percentiles": percentiles, "lines": lines}


def picture(plot, png):
    """For the page; and a file of its own for those who want to show it elsewhere."""
    figure = KINDS[plot["kind"]](plot)
    figure.tight_layout()
    target = io.StringIO()
    figure.savefig(target, format="svg", metadata={"Date": None})
    figure.savefig(png, format="png", dpi=140)
    plt.close(figure)
    svg = target.getvalue()
    return (f"<figure>{svg[svg.index('<svg'):]}<figcaption class=note>"
            f"{html.escape(plot['title'])} ({os.path.basename(png)})</figcaption></figure>")


def row_of(row):
    verdict = {True: "<span class=met>met</span>", False: "<span class=unmet>not met</span>",
               None: html.escape(row.get("unjudged") or "")}[row["met"]]
    reach = "" if row["reach"] is None else \
        ("&ge; " if row["better"] == "most" else "&le; ") + number(row["reach"])
    spreads = "; ".join(f"{name} {number(low_high[0])} to {number(low_high[1])}"
                        for name, low_high in (row["spreads"] or {}).items() if low_high)
    theirs = number(row["theirs"]) + (f" {row['baseline']}" if row["baseline"] else "")
    cells = [html.escape(row["goal"]), html.escape(row["what"]) +
             (f"<div class=note>{html.escape(spreads)}</div>" if spreads else ""),
             f"<b>{number(row['value'])}</b>", reach, number(row["then"]),
             f"{number(row['ours'])} {row['unit']}", html.escape(theirs), verdict]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def notes(data):
    """What it takes to repeat a measurement, a line each."""
    durability = data.get("durability", {})
    about = json.dumps(data["rows"] if "rows" in data else data["audit"])
    named = [side for side in durability if re.search(rf"\b{side}\b", about)]
    found = {
        "machine": ", ".join(f"{key} {value}" for key, value in data["machine"].items()),
        "versions": ", ".join(f"{key} {value}" for key, value in data.get("versions", {}).items()),
        "command": data.get("command", ""),
        "commands of its runs": "; ".join(data.get("commands", data.get("generator", []))),
        "what a 250 stands for": "; ".join(f"{side}: {durability[side]}" for side in named),
        "our settings": ", ".join(f"{section}.{key} = {value}" for side in
                                  data.get("settings", {}).values()
                                  for section, values in side.items()
                                  for key, value in values.items()),
        "in the runs": ", ".join(f"{count:,} {what}"
                                 for what, count in data.get("complaints", {}).items()),
    }
    return "<br>".join(f"<b>{name}</b>: {html.escape(text)}" for name, text in found.items() if text)


def section(data, pictures):
    if data["bench"] == "audit":
        rows = "".join(f"<tr><td>{html.escape(key)}</td><td>{html.escape(str(value))}</td></tr>"
                       for key, value in data["audit"].items())
        return (f"<h2>audit of {html.escape(data['audit']['server'])}</h2><table>{rows}</table>"
                f"<p class=note>{notes(data)}</p>")
    head = "".join(f"<th>{name}</th>" for name in
                   ("goal", "what (lowest to highest of the rounds)", "value", "reach", "then",
                    "backstay", "baseline", ""))
    rows = "".join(row_of(row) for row in data["rows"])
    return (f"<h2>{html.escape(data['bench'])}</h2><table><tr>{head}</tr>{rows}</table>" +
            "".join(picture(plot, os.path.join(pictures, f"{data['bench']}-{number}.png"))
                    for number, plot in enumerate(data["plots"], 1)) +
            f"<p class=note>{notes(data)}</p>")


def commits(results):
    """A warning where the results are not of one state, or of one that nobody else has."""
    found = {}
    for data in results:
        found.setdefault(data["machine"].get("commit", "unknown"), []).append(data["bench"])
    if len(found) == 1 and not next(iter(found)).endswith("-dirty"):
        return ""
    said = "; ".join(f"{commit}: {', '.join(benches)}" for commit, benches in found.items())
    what = "These results come from different commits" if len(found) > 1 else \
        "These results come from a tree with changes that are in no commit"
    return f"<p class=unmet>{what}: {html.escape(said)}</p>"


def settings(side, values):
    text = ", ".join(f"{key} = {value}" for key, value in values.items())
    return f"<p class=note><b>{html.escape(side)}</b>: {html.escape(text)}</p>"


def newest():
    """The last result of each measurement below build/bench."""
    found = {}
    for path in sorted(glob.glob(os.path.join(TOP, "build/bench/*-*.json"))):
        found[re.sub(r"-\d{8}-\d{6}\.json$", "", os.path.basename(path))] = path
    return list(found.values())


def main():
    parser = argparse.ArgumentParser(description="one HTML page from results")
    parser.add_argument("files", nargs="*", metavar="FILE.json")
    parser.add_argument("--output", default=os.path.join(TOP, "build/bench/report.html"))
    arguments = parser.parse_args()
    results = []
    for path in arguments.files or newest():
        with open(path, encoding="utf-8") as file:
            results.append(json.load(file))
    if not results:
        sys.exit("no results: run ./dev bench saturate first")
    tuning = {"postfix": next((data["postfix"] for data in results if data.get("postfix")), {})}
    for data in results:
        tuning |= data.get("tuning", {})
    pictures = os.path.dirname(os.path.abspath(arguments.output))
    os.makedirs(pictures, exist_ok=True)
    page = ("<!doctype html><html lang=en><meta charset=utf-8><title>backstay: measurements"
            f"</title><style>{STYLE}</style><h1>backstay: measurements</h1><p>Ratios of sides that "
            "ran in turn on one machine; medians of the rounds. A difference within the spread is "
            "none.</p>" + commits(results) + "".join(section(data, pictures) for data in results) +
            "<h2>Settings of the others</h2>" + "".join(settings(*item) for item in tuning.items()) +
            "</html>")
    with open(arguments.output, "w", encoding="utf-8") as file:
        file.write(page)
    print(arguments.output)


if __name__ == "__main__":
    main()

# bench/results.py -- what a measurement leaves: rows against the goals, one JSON file, a table.
#
# A goal is judged only where what it speaks of was measured; otherwise its row says why not.
import argparse
import json
import os
import sys
import time

import counters
import judged
import recipe

# What is to be reached (DESIGN "numbers to reach"), then the stretch; "least": smaller is better.
GOALS = {
    "P1": (60, 100, "most"), "P1 Exim": (25, None, "most"), "P2": (100, 150, "most"),
    "P3": (1.5, 2.5, "most"), "P3 smtp-source": (0.95, None, "most"),
    "P4": (0.3, 0.2, "least"), "P5": (0.85, 0.95, "most"), "P6": (10, 4, "least"),
    "P7": (1.25, 1.1, "least"), "P8": (3, 2, "least"), "P9 goodput": (0.95, 0.99, "most"),
    "P9 refusal": (50, None, "least"), "P9 memory": (0, None, "least"),
    "P10": (0.25, 0.1, "least"), "P11": (320, 192, "least"), "P12": (4, 1, "least"),
    "P13 banner": (0.2, None, "least"), "P13 queue": (0.1, 0.02, "least"),
    "P14 smtp-sink": (0.95, None, "most"), "P14 backstay-sink": (2, 3, "most"),
    "P14 first": (1, None, "least"), "P15": (0.1, None, "least"), "P16": (0.75, 0.9, "most"),
    "P17 64 KiB": (1.03, 1.01, "least"), "P17 4 KiB": (1.15, 1.08, "least"),
    "drain beside": (1.5, None, "least"), "crowd": (0.9, None, "most"), "orders": (100, None, "least"),
    "generator": (3, None, "most"),
}


def default_path(name):
    now = time.strftime("%Y%m%d-%H%M%S")
    return os.path.join(counters.TOP, "build/bench", f"{name}-{now}.json")


def write(path, data):
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)


def header(name, arguments):
    """What is known before the first run; the machine's load is that of before."""
    return {"bench": name, "machine": counters.machine(arguments.directory),
            "postfix": recipe.POSTFIX_TUNING, "versions": counters.versions(),
            "command": " ".join([os.path.basename(sys.argv[0]), *sys.argv[1:]]),
            "durability": recipe.DURABILITY,
            "arguments": {k: v for k, v in vars(arguments).items() if k != "json"}}


def complete(data):
    """Adds what is known behind the last run."""
    if judged.others:
        low, high = round(min(judged.others), 2), round(max(judged.others), 2)
        data["machine"]["cores others had meanwhile"] = f"{low} to {high}"
    data |= recipe.data() | {"complaints": dict(judged.complaints)}


class Result:
    """Rows and runs of one measurement; printed as a table and kept as one JSON file."""

    def __init__(self, name, arguments):
        self.path = arguments.json or default_path(name)
        self.keeps = arguments.keep
        self.data = header(name, arguments) | {"rows": [], "runs": {}, "plots": []}

    def row(self, goal, what, value, *, runs, samples=None, ours=None, theirs=None, unit="",
            baseline="", spreads=None, unjudged=None):
        """`value` is what the goal speaks of: a ratio or a measure. `runs`: all that it is of, both
        sides'. `unjudged`: what else says that it is none."""
        reach, then, better = GOALS.get(goal, (None, None, "most"))
        reasons = (self.data["machine"].get("no_disk"), unjudged, judged.why_not(runs, samples))
        unjudged = "; ".join(reason for reason in reasons if reason) or None
        if value is None and reach is not None:
            unjudged = unjudged or "no value"
        met = None
        if reach is not None and not unjudged:
            met = value >= reach if better == "most" else value <= reach
        self.data["rows"].append({"goal": goal, "what": what, "value": value, "reach": reach,
                                  "then": then, "better": better, "met": met, "ours": ours,
                                  "theirs": theirs, "unit": unit, "baseline": baseline,
                                  "spreads": spreads, "unjudged": unjudged})

    def plot(self, **plot):
        """kind: bars, percentiles, lines; see report.py."""
        self.data["plots"].append(plot)

    def keep(self):
        """A line for each row: what was measured at this commit, on this machine."""
        common = {key: self.data[key] for key in ("bench", "machine", "command", "versions")}
        with open(os.path.join(counters.TOP, "bench/history.jsonl"), "a", encoding="utf-8") as file:
            for row in self.data["rows"]:
                kept = ("goal", "what", "value", "reach", "met", "unjudged", "ours", "theirs",
                        "unit", "baseline", "spreads")
                file.write(json.dumps(common | {key: row[key] for key in kept}) + "\n")

    def finish(self):
        complete(self.data)
        write(self.path, self.data)
        if self.keeps:
            self.keep()
        print_machine(self.data["machine"])
        print_rows(self.data["rows"])
        if judged.complaints:
            print("in the runs:", ", ".join(f"{count:,} {what}"
                                            for what, count in sorted(judged.complaints.items())))
        print(f"result: {os.path.relpath(self.path)}")


def print_machine(found):
    print("machine:", ", ".join(f"{key} {value}" for key, value in found.items()))


def print_rows(rows):
    """A table; with lowest to highest of the rounds where there is more than one."""
    spreads = [spread_text(row) for row in rows]
    head = ["goal", "what", "value", "reach", "backstay", "baseline", "spread", ""]
    skipped = -1 if any(spreads) else head.index("spread")
    table = [head, ["---", "---", *["---:"] * 4, "---", "---"]]
    for row, between in zip(rows, spreads):
        what = row["what"] + (f" ({row['script']})" if "script" in row else "")
        table.append([row["goal"], what, number(row["value"]), number(row["reach"]),
                      f"{number(row['ours'])} {row['unit']}",
                      f"{number(row['theirs'])} {row['baseline']}".strip(), between,
                      verdict(row)])
    for cells in table:
        print(f"| {' | '.join(cell for at, cell in enumerate(cells) if at != skipped)} |")


def spread_text(row):
    between = {name: [number(value) for value in low_high]
               for name, low_high in (row["spreads"] or {}).items() if low_high}
    return "; ".join(f"{name} {low} to {high}" for name, (low, high) in between.items()
                     if low != high)


def verdict(row):
    if row["met"] is None:
        return f"not judged: {row['unjudged']}" if row["unjudged"] else ""
    return "met" if row["met"] else "not met"


def number(value):
    if value is None:
        return ""
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def parser(description, seconds=4, rounds=3):
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--seconds", type=float, default=seconds, help="of each measured run, about")
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--directory", default=counters.DIRECTORY,
                      help=f"where spools and queues are put (default: {counters.DIRECTORY})")
    made.add_argument("--json", metavar="FILE", help="default: build/bench/NAME-TIME.json")
    made.add_argument("--keep", action="store_true", help="add the rows to bench/history.jsonl")
    return made

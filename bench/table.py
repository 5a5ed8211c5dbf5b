#!/usr/bin/env python3
# bench/table.py -- every goal from one run: the other scripts in turn, one table of their rows.
#
# table.py [--quick] [--only saturate,commit,...] [--keep] [--directory DIR]
#
# The better part of an hour; --quick takes a third of that, with fewer rounds and at most a million
# queued.
# Below the table stands each goal once: met when every part of it was judged and met; not met when
# one was not; not measured when a part has no row, no value, or not the size the goal speaks of.
# A script that fails is named at the end, and the exit code is 1. Results: build/bench.
import argparse
import json
import os
import re
import subprocess
import sys
import time

import common

SCRIPTS = {  # name: flags of a whole run, and of a quick one
    "saturate": ([], ["--rounds", "1", "--seconds", "3"]),
    "commit": ([], ["--rounds", "1", "--seconds", "3"]),
    "latency": ([], ["--rounds", "1", "--seconds", "3"]),
    "compare": (["--sides", "backstay,exim"],
                ["--sides", "backstay,exim", "--rounds", "1", "--seconds", "3"]),
    "first": (["--sides", "backstay,smtp-sink", "--connections", "256"],
              ["--sides", "backstay,smtp-sink", "--connections", "256", "--rounds", "1"]),
    "overload": ([], ["--rounds", "1", "--seconds", "3"]),
    "idle": ([], ["--clients", "1000,5000"]),
    "restart": ([], ["--messages", "10000,1000000", "--rounds", "1", "--seconds", "5"]),
    "drain": ([], ["--rounds", "1", "--messages", "20000"]),
    "tls": ([], ["--rounds", "1", "--seconds", "3"]),
}


def run(name, flags, arguments):
    """What the script wrote; None: it failed."""
    path = os.path.join(common.TOP, "build/bench", f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json")
    command = [sys.executable, os.path.join(common.TOP, "bench", f"{name}.py"), "--json", path]
    command += flags + (["--keep"] if arguments.keep else [])
    command += ["--directory", arguments.directory] if arguments.directory else []
    print(f"table: {time.strftime('%T')} {name} {' '.join(flags)}", file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0 or not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def number_of(goal):
    return int(re.match(r"P(\d+)", goal).group(1))


def judge(rows):
    """Of one goal, by its parts: the verdict, and what it is about."""
    unmet = [row["goal"] for row in rows if row["met"] is False]
    if unmet:
        return "not met", ", ".join(dict.fromkeys(unmet))
    reasons = {}
    for row in rows:
        if row["met"] is None:
            reasons.setdefault(row["unjudged"], {})[row["goal"]] = True
    return ("not measured", "; ".join(f"{', '.join(goals)}: {reason}" for reason, goals in
                                      reasons.items())) if reasons else ("met", "")


def summary(rows):
    """Each goal once. A part without a row counts as one without a value."""
    parts = [goal for goal in common.GOALS if re.match(r"P\d", goal)]
    absent = [{"goal": goal, "met": None, "unjudged": "no row"} for goal in parts
              if not any(row["goal"] == goal for row in rows)]
    found = {"met": [], "not met": [], "not measured": []}
    for number in sorted(set(map(number_of, parts))):
        verdict, why = judge([row for row in rows + absent if row["goal"] in parts and
                              number_of(row["goal"]) == number])
        found[verdict].append(f"P{number}" + (f" ({why})" if why and why != f"P{number}" else ""))
    return found


def print_machines(results):
    """Once what they have in common; the load, and what others had, is each one's own."""
    own = ("load_before", "time", "cores others had meanwhile")
    machines = {name: data["machine"] for name, data in results.items()}
    if machines:
        common.print_machine({key: value for key, value in next(iter(machines.values())).items()
                              if key not in own})
    for name, machine in machines.items():
        print(f"{name}.py:", ", ".join(f"{key} {machine[key]}" for key in own if key in machine))


def main():
    parser = argparse.ArgumentParser(description="every goal from one run")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(SCRIPTS))
    parser.add_argument("--keep", action="store_true", help="add the rows to bench/history.jsonl")
    parser.add_argument("--directory", help="where spools and queues are put")
    arguments = parser.parse_args()
    os.makedirs(os.path.join(common.TOP, "build/bench"), exist_ok=True)
    results = {name: run(name, SCRIPTS[name][arguments.quick], arguments)
               for name in arguments.only.split(",")}
    failed = [name for name, found in results.items() if found is None]
    results = {name: found for name, found in results.items() if found is not None}
    rows = [row | {"script": f"{name}.py"} for name, found in results.items()
            for row in found["rows"] if re.match(r"P\d", row["goal"])]
    print_machines(results)
    common.print_rows(sorted(rows, key=lambda row: number_of(row["goal"])))
    for verdict, goals in summary(rows).items():
        print(f"{verdict}, {len(goals)}: {', '.join(goals) or 'none'}")
    print(f"scripts that failed: {', '.join(failed) or 'none'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

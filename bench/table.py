#!/usr/bin/env python3
# bench/table.py -- every goal from one run: the other scripts in turn, one table of their rows.
#
# table.py [--quick] [--only saturate,commit,...] [--keep] [--directory DIR]
#
# About half an hour; --quick takes a third of that, with fewer rounds and at most a million queued.
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
    "overload": (["--limit", "1000"], ["--limit", "1000", "--rounds", "1", "--seconds", "3"]),
    "idle": ([], ["--clients", "1000,5000"]),
    "restart": ([], ["--messages", "10000,1000000", "--rounds", "1", "--seconds", "5"]),
    "drain": ([], ["--rounds", "1", "--messages", "20000"]),
    "tls": ([], ["--rounds", "1", "--seconds", "3"]),
}


def run(name, flags, arguments):
    """The rows that the script wrote; None: it failed."""
    path = os.path.join(common.TOP, "build/bench", f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.json")
    command = [sys.executable, os.path.join(common.TOP, "bench", f"{name}.py"), "--json", path]
    command += flags + (["--keep"] if arguments.keep else [])
    command += ["--directory", arguments.directory] if arguments.directory else []
    print(f"table: {time.strftime('%T')} {name} {' '.join(flags)}", file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0 or not os.path.exists(path):
        return None
    with open(path, encoding="utf-8") as file:
        return json.load(file)["rows"]


def by_goal(row):
    return int(re.match(r"P(\d+)", row["goal"]).group(1))


def main():
    parser = argparse.ArgumentParser(description="every goal from one run")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(SCRIPTS))
    parser.add_argument("--keep", action="store_true", help="add the rows to bench/history.jsonl")
    parser.add_argument("--directory", help="where spools and queues are put")
    arguments = parser.parse_args()
    os.makedirs(os.path.join(common.TOP, "build/bench"), exist_ok=True)
    rows, failed = [], []
    for name in arguments.only.split(","):
        found = run(name, SCRIPTS[name][arguments.quick], arguments)
        if found is None:
            failed.append(name)
        else:
            rows += [row | {"script": f"{name}.py"} for row in found if row["goal"].startswith("P")]
    common.print_rows(sorted(rows, key=by_goal))
    met = [row["met"] for row in rows if row["met"] is not None]
    print(f"{sum(met)} of {len(met)} goals met; not run: {', '.join(failed) or 'none'}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

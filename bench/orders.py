#!/usr/bin/env python3
# bench/orders.py -- how long the operator waits for an order or a list, whatever is queued.
#
# orders.py [--messages 1000,1000000] [--rounds 9] [--directory DIR] [--json FILE]
#
# Per size: backstay-fill fills a spool of two shards, the daemon runs with the primary down. Printed
# are medians in milliseconds: `backstay --version` (the process alone), each order from the start of
# the command to its end, with the disk's sync in it, and the same order by a client that is
# connected already. Last the time of `mailq --json` a message.
import argparse
import json
import statistics
import subprocess
import time

import common
import restart
from common import harness

ORDERS = (("queue", "reset", "--all"), ("queue", "hold", "--domain", "example.com"),
          ("queue", "release", "--all"))
LISTED_MAX = 100000


def command(*arguments):
    began = time.monotonic()
    done = subprocess.run([harness.binary("backstay"), *arguments], check=True,
                          stdout=subprocess.PIPE)
    return time.monotonic() - began, done.stdout


def connected(daemon, rounds):
    """Seconds of each `reset` over one connection."""
    times = []
    with common.Admin(daemon) as admin:
        for _ in range(rounds):
            began = time.monotonic()
            admin.ask("reset", all=True)
            times.append(time.monotonic() - began)
    return times


def measure(directory, messages, rounds):
    daemon = harness.Daemon(directory, harness.free_port(), {
        "smtp": {"shards": restart.SHARDS}, "spool": {"segment_size": "256MiB", "reserve": "1GiB"}})
    endpoint = daemon.settings["admin"]["socket"]
    try:
        restart.fill(directory, messages, 1)
        restart.start(daemon)
        row = {"messages": messages,
               "process": statistics.median(command("--version")[0] for _ in range(rounds))}
        for order in ORDERS:
            times = []
            for _ in range(rounds):
                seconds, said = command("--endpoint", endpoint, *order, "--yes", "--json")
                times.append(seconds)
                assert json.loads(said)["recipients"] in (messages, 0), said
            row[order[1]] = statistics.median(times)
        row["connected"] = statistics.median(connected(daemon, rounds))
        seconds, said = command("--endpoint", endpoint, "queue", "list", "--json",
                                "--limit", str(LISTED_MAX))
        row["list_message"] = seconds / max(said.count(b"\n"), 1)
        return row
    finally:
        daemon.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", default="1000,1000000")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--directory", default=common.DIRECTORY)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    common.print_machine(common.machine(arguments.directory))
    rows = []
    print(f"{'messages':>10} {'process':>9} {'reset':>9} {'hold':>9} {'release':>9} "
          f"{'connected':>9}  ms; {'list':>6} us/message")
    for messages in map(int, arguments.messages.split(",")):
        with common.scratch(arguments.directory) as directory:
            row = measure(directory, messages, arguments.rounds)
        rows.append(row)
        times = " ".join(f"{row[name] * 1e3:9.2f}"
                         for name in ("process", "reset", "hold", "release", "connected"))
        print(f"{messages:>10} {times}      {row['list_message'] * 1e6:6.1f}", flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="ascii") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# bench/orders.py -- how long the operator waits for an order or a list, whatever is queued.
#
# orders.py [--messages 1000,1000000] [--bytes 400] [--domains 1,2000] [--fresh 20000] [--rounds 9]
#           [--json FILE]
#
# Per size and number of domains: backstay-fill fills a spool of two shards, the daemon runs with the
# primary down and takes some more, so that orders are given in the middle of a segment. Medians in
# milliseconds: `backstay --version` (the process alone), each order from the start of the command to
# its end, with the disk's sync in it, and the same order by a client that is connected already; the
# longest that a client waited for a greeting meanwhile. Last the time of `mailq --json` a message.
import itertools
import json
import socket
import statistics
import subprocess
import sys
import threading
import time

import common
import recipe
import restart
from common import harness

LISTED_MAX = 100000
WHATS = {"reset": "queue reset --all", "hold": "queue hold --domain",
         "release": "queue release --all", "connected": "reset over an open connection",
         "greeting": "the longest wait for a greeting meanwhile"}


def orders(domain):
    return (("queue", "reset", "--all"), ("queue", "hold", "--domain", domain),
            ("queue", "release", "--all"))


def command(*arguments):
    recipe.command(["backstay", *arguments])
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


def longest_greeting(port, stop):
    """Of clients that come one after the other, in seconds, until `stop` is set."""
    longest = 0.0
    while not stop.is_set():
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.recv(1)
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.01)
    return longest


def timed_orders(daemon, messages, domains, rounds):
    """Medians of each order, and over one connection."""
    found = {}
    for order in orders(daemon.settings["domain"][0]["name"]):
        times = []
        for _ in range(rounds):
            seconds, said = command("--endpoint", daemon.settings["admin"]["socket"], *order,
                                    "--yes", "--json")
            times.append(seconds)
            assert json.loads(said)["recipients"] in (
                0, messages, *(messages // domains + more for more in (0, 1))), said
        found[order[1]] = statistics.median(times)
    return found | {"connected": statistics.median(connected(daemon, rounds))}


def measure(directory, messages, domains, arguments):
    rounds = arguments.rounds
    server = common.Backstay(directory, settings={"smtp": {"shards": restart.SHARDS}}, start=False,
                             domains=restart.domains_of(domains))
    daemon = server.daemon
    endpoint = daemon.settings["admin"]["socket"]
    stop = threading.Event()
    try:
        common.fill(directory, messages, restart.SHARDS, arguments.bytes, domains)
        restart.start(daemon)
        names = ",".join(domain["name"] for domain in daemon.settings["domain"])
        fresh = common.load(daemon.port, "--connections", 64, "--messages", arguments.fresh,
                            "--domains", names if domains == 1 else domains)
        messages += fresh["messages"]["acknowledged"]
        row = {"messages": messages, "domains": domains,
               "process": statistics.median(command("--version")[0] for _ in range(rounds))}
        greetings = []
        clients = threading.Thread(
            target=lambda: greetings.append(longest_greeting(daemon.port, stop)))
        clients.start()
        with common.window():
            row |= timed_orders(daemon, messages, domains, rounds)
            stop.set()
        clients.join(60)
        row["greeting"] = greetings[0]
        seconds, said = command("--endpoint", endpoint, "queue", "list", "--json",
                                "--limit", str(LISTED_MAX))
        row["list_message"] = seconds / max(said.count(b"\n"), 1)
        return row
    finally:
        stop.set()
        daemon.close()  # at once: nobody wants its spool
        server.close()


def main():
    parser = common.parser("how long the operator waits for an order or a list", rounds=9)
    parser.add_argument("--messages", default="1000,1000000")
    parser.add_argument("--bytes", type=int, default=400, help="of each queued body")
    parser.add_argument("--domains", default="1,2000")
    parser.add_argument("--fresh", type=int, default=20_000, help="that come in by SMTP")
    arguments = parser.parse_args()
    result = common.Result("orders", arguments)
    rows = []
    for messages, domains in itertools.product(map(int, arguments.messages.split(",")),
                                               map(int, arguments.domains.split(","))):
        with common.scratch(arguments.directory) as directory:
            rows.append(common.watched(measure, directory, messages, domains, arguments))
            print(rows[-1], file=sys.stderr, flush=True)
    result.data["runs"] = rows
    for row in rows:
        queued = (f"{row['messages']:,} queued for {row['domains']:,} domains, bodies of "
                  f"{arguments.bytes:,} bytes")
        for name, what in WHATS.items():
            goal = "orders" if name == "reset" else ""
            result.row(goal, f"{what}, {queued}", row[name] * 1e3, ours=row[name] * 1e3,
                       unit="ms", theirs=row["process"] * 1e3, baseline="backstay --version",
                       runs=[row])
        result.row("", f"a message of a list, {queued}", row["list_message"] * 1e6, unit="us",
                   ours=row["list_message"] * 1e6, runs=[row])
    result.finish()


if __name__ == "__main__":
    main()

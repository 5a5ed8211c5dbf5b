#!/usr/bin/env python3
# bench/restart.py -- how long a start takes, and what waiting mail costs, whatever is queued: P12,
# P13 and P15 of the goals.
#
# restart.py [--messages 10000,100000,1000000,10000000] [--bytes 400] [--domains 1] [--rounds 3]
#            [--seconds 20] [--json FILE]
#
# Per size: backstay-fill fills a spool; the daemon is started, killed with -9 and started again.
# Printed: time to the banner, to the whole queue; memory a message beside an empty spool; share of
# a core while everything waits and the primary is down (by the process's own clock, three times).
# The first size is the empty spool. The goals speak of ten million messages: with fewer nothing is
# judged. Bodies have 400 bytes, for ten million of 4 KiB want 45 GB of disk; larger ones mean more
# segments for as many messages, so each row says the size.
import os
import re
import statistics
import sys
import time

import common
from common import harness

GOAL_MESSAGES = 10_000_000
QUEUE_SECONDS = 300
SHARDS = 2
IDLE_SAMPLES = 3
# Behind a start empty segments go back in pieces, by the kernel's workers: some seconds of 0.2 core.
SETTLE_SECONDS = 10


def share_of_a_core(pid, seconds):
    with common.window():
        cpu, began = common.idle_cpu(pid), time.monotonic()
        time.sleep(seconds)
        return (common.idle_cpu(pid) - cpu) / (time.monotonic() - began)


def domains_of(count):
    """As backstay-fill names them; all of one primary, which is down."""
    primary = [f"127.0.0.1:{harness.free_port()}"]
    names = ["example.com"] if count == 1 else [f"domain-{number}.example" for number in range(count)]
    return [{"name": name, "primary": primary} for name in names]


def queue_lines(daemon):
    return re.findall(r"queue complete", daemon.log() if os.path.exists(daemon.log_path) else "")


def start(daemon):
    """Seconds to the banner and to the whole queue of every shard."""
    before = len(queue_lines(daemon))
    with common.window():
        began = time.monotonic()
        daemon.start()
        banner = time.monotonic() - began
        while len(queue_lines(daemon)) < before + SHARDS:
            if time.monotonic() > began + QUEUE_SECONDS:
                raise SystemExit(f"no queue within {QUEUE_SECONDS} s:\n{daemon.log()[-2000:]}")
            time.sleep(0.01)
        return banner, time.monotonic() - began


def measure(messages, arguments):
    with common.scratch(arguments.directory) as directory:
        return measure_in(directory, messages, arguments)


def measure_in(directory, messages, arguments):
    server = common.Backstay(directory, settings={"smtp": {"shards": SHARDS}}, start=False,
                             domains=domains_of(arguments.domains))
    daemon = server.daemon
    try:
        if messages:
            common.fill(directory, messages, SHARDS, arguments.bytes, arguments.domains)
        start(daemon)
        times = []
        for _ in range(arguments.rounds):
            daemon.kill()
            times.append(start(daemon))
        time.sleep(SETTLE_SECONDS)
        rss = server.rss()
        shares = [share_of_a_core(daemon.process.pid, arguments.seconds)
                  for _ in range(IDLE_SAMPLES)]
        return {"messages": messages, "banner_s": statistics.median(t[0] for t in times),
                "banners_s": [min(t[0] for t in times), max(t[0] for t in times)],
                "queue_s": statistics.median(t[1] for t in times),
                "queues_s": [min(t[1] for t in times), max(t[1] for t in times)],
                "rss": rss, "idle_core": statistics.median(shares),
                "idle_cores": [min(shares), max(shares)]}
    finally:
        daemon.close()  # at once: nobody wants its spool
        server.close()


def report(result, empty, sizes, size):
    most = max(sizes, key=lambda row: row["messages"])
    count = most["messages"]
    bodies = f"bodies of {size:,} bytes"
    unjudged = None if count >= GOAL_MESSAGES else f"{count:,} queued, not {GOAL_MESSAGES:,}"
    result.row("P12", f"bytes of memory a message, {count:,} queued, {bodies}",
               most["bytes_each"], ours=most["bytes_each"], unit="B", unjudged=unjudged,
               runs=[empty, most])
    longest = max(sizes, key=lambda row: row["banner_s"])
    result.row("P13 banner", f"seconds to the banner after SIGKILL, {longest['messages']:,} queued"
               f", {bodies}, the longest of {len(sizes)} sizes", longest["banner_s"],
               ours=longest["banner_s"], unit="s", theirs=empty["banner_s"], baseline="empty spool",
               unjudged=unjudged, spreads={"banner": longest["banners_s"]}, runs=[empty, *sizes])
    each = most["queue_s"] / count * 1e6
    result.row("P13 queue", f"seconds to the whole queue for each million of {count:,}, {bodies}",
               each, ours=each, unit="s", unjudged=unjudged, runs=[most],
               spreads={"each million": [seconds / count * 1e6 for seconds in most["queues_s"]]})
    share = 100 * most["idle_core"]
    result.row("P15", f"percent of a core, {count:,} queued, {bodies}, primary down", share,
               ours=share, unit="%", theirs=100 * empty["idle_core"], baseline="empty spool",
               unjudged=unjudged, runs=[empty, most],
               spreads={"share": [100 * share for share in most["idle_cores"]]})
    for key, title in (("banner_s", "Start after SIGKILL: to the banner"),
                       ("queue_s", "Start after SIGKILL: to the whole queue")):
        result.plot(kind="bars", title=title, unit="s",
                    values={f"backstay, {row['messages']:,} queued": row[key]
                            for row in [empty, *sizes]})


def main():
    parser = common.parser("restart time, memory and idle CPU by queue size", seconds=20)
    parser.add_argument("--messages", default="10000,100000,1000000,10000000")
    parser.add_argument("--bytes", type=int, default=400, help="of each body (see above)")
    parser.add_argument("--domains", type=int, default=1)
    arguments = parser.parse_args()
    result = common.Result("restart", arguments)
    rows = []
    for messages in [0] + [int(text) for text in arguments.messages.split(",")]:
        row = common.watched(measure, messages, arguments)
        row["bytes_each"] = (row["rss"] - rows[0]["rss"]) / messages if messages else 0
        rows.append(row)
        print(", ".join(f"{key} {value:,.4g}" for key, value in row.items()
                        if not isinstance(value, list)), file=sys.stderr, flush=True)
    result.data["runs"] = rows
    report(result, rows[0], rows[1:], arguments.bytes)
    result.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# bench/restart.py -- how long a start takes, and what waiting mail costs, whatever is queued.
#
# restart.py [--messages 10000,100000,1000000,10000000] [--domains 1] [--starts 3] [--json FILE]
#            [--idle 20]
#
# Per size: backstay-fill fills a spool; the daemon is started, killed with -9 and started again.
# Printed: time to the banner, to the whole queue; memory a message beside an empty spool; share of a
# core while everything waits and the primary is down. The first row is the empty spool.
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))),
                                "tests/system"))
import harness  # noqa: E402

QUEUE_SECONDS = 300
SHARDS = 2


def fill(directory, messages, domains):
    if messages:
        subprocess.run([harness.binary("backstay-fill"), "--spool", os.path.join(directory, "spool"),
                        "--messages", str(messages), "--domains", str(domains),
                        "--shards", str(SHARDS)], check=True, stdout=subprocess.DEVNULL)


def queue_lines(daemon):
    return re.findall(r"queue complete", daemon.log() if os.path.exists(daemon.log_path) else "")


def start(daemon):
    """Seconds to the banner and to the whole queue of every shard."""
    before = len(queue_lines(daemon))
    began = time.monotonic()
    daemon.start()
    banner = time.monotonic() - began
    while len(queue_lines(daemon)) < before + SHARDS:
        if time.monotonic() > began + QUEUE_SECONDS:
            raise SystemExit(f"no queue within {QUEUE_SECONDS} s:\n{daemon.log()[-2000:]}")
        time.sleep(0.01)
    return banner, time.monotonic() - began


def measure(messages, arguments):
    directory = tempfile.mkdtemp(prefix="backstay-restart-", dir=arguments.directory)
    domains = [{"name": "example.com" if arguments.domains == 1 else f"domain-{number}.example",
                "primary": [f"127.0.0.1:{harness.free_port()}"]}
               for number in range(arguments.domains)]
    daemon = harness.Daemon(directory, harness.free_port(), {
        "smtp": {"shards": SHARDS}, "spool": {"segment_size": "256MiB", "reserve": "1GiB"}})
    daemon.settings["domain"] = domains
    daemon.write_config()
    try:
        fill(directory, messages, arguments.domains)
        start(daemon)
        times = []
        for _ in range(arguments.starts):
            daemon.kill()
            times.append(start(daemon))
        time.sleep(2)
        rss = daemon.rss()
        cpu, began = harness.process_cpu(daemon.process.pid), time.monotonic()
        time.sleep(arguments.idle)
        cpu = (harness.process_cpu(daemon.process.pid) - cpu) / (time.monotonic() - began)
        return {"messages": messages, "banner_s": statistics.median(t[0] for t in times),
                "queue_s": statistics.median(t[1] for t in times), "rss": rss, "idle_core": cpu}
    finally:
        daemon.close()
        shutil.rmtree(directory)


def main():
    parser = argparse.ArgumentParser(description="Restart time, memory and idle CPU by queue size.")
    parser.add_argument("--messages", default="10000,100000,1000000,10000000")
    parser.add_argument("--domains", type=int, default=1)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--idle", type=float, default=20)
    parser.add_argument("--directory", default="/var/tmp", help="spools are made below it")
    parser.add_argument("--json", default="")
    arguments = parser.parse_args()
    rows = []
    print(f"{'messages':>10} {'banner s':>9} {'queue s':>9} {'RSS MiB':>9} {'B/message':>10}"
          f" {'idle core':>10}")
    for messages in [0] + [int(text) for text in arguments.messages.split(",")]:
        row = measure(messages, arguments)
        rows.append(row)
        each = f"{(row['rss'] - rows[0]['rss']) / messages:.2f}" if messages else "-"
        print(f"{messages:>10} {row['banner_s']:>9.3f} {row['queue_s']:>9.3f}"
              f" {row['rss'] / 2**20:>9.1f} {each:>10} {row['idle_core']:>10.4f}", flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()

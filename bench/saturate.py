#!/usr/bin/env python3
# bench/saturate.py -- accepted-and-durable messages a second and CPU a message, beside Postfix.
#
# saturate.py [--connections 10,100,500] [--seconds 8] [--rounds 3] [--bytes 4096] [--json FILE]
#             [--sides backstay,postfix,smtp-sink] [--postfix key=value ...] [--verify]
#
# One generator (smtp-source -d: connections kept open) against each side in turn, on this machine,
# in this run; the primary of both is down. README.md in this folder has the method.
import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))),
                                "tests/system"))
import harness  # noqa: E402
import peers    # noqa: E402
import sinks    # noqa: E402

WARM_UP_MESSAGES = 300
MESSAGES_MAX = 2_000_000
# What a careful operator of a busy Postfix would set; printed with every report.
POSTFIX_TUNING = {
    "smtpd_client_connection_count_limit": "0",   # all connections come from one address here
    "smtpd_peername_lookup": "no",                # no DNS for 127.0.0.1
    "in_flow_delay": "0s",                        # do not slow intake down for the queue manager
    "max_use": "10000",                           # processes live longer than 100 connections
    "qmgr_message_active_limit": "20000",
    "queue_run_delay": "1h", "minimal_backoff_time": "1h",  # no retries within the run
    "maximal_backoff_time": "4h",
    "default_destination_concurrency_failed_cohort_limit": "1",
}


class Backstay:
    def __init__(self, directory, _connections, _arguments):
        self.daemon = harness.Daemon(directory, harness.free_port(), {
            "smtp": {"max_connections_per_client": 100000},
            "spool": {"segment_size": "256MiB", "reserve": "1GiB"}})
        self.daemon.start()
        self.port = self.daemon.port

    def cpu(self):
        return harness.process_cpu(self.daemon.process.pid)

    def verify(self, accepted):
        """Killed and started again with the primary up it hands over every message."""
        self.daemon.kill()
        port = int(self.daemon.settings["domain"][0]["primary"][0].rpartition(":")[2])
        sink = sinks.RecordingSink(port, keep=len).up()
        try:
            self.daemon.start()
            sink.wait_for(accepted, 60 + accepted / 500)
            return len(sink.messages)
        finally:
            sink.close()

    def close(self):
        if self.daemon.process:
            self.daemon.stop()


class Postfix:
    def __init__(self, directory, connections, arguments):
        self.port = harness.free_port()
        tuning = POSTFIX_TUNING | dict(s.split("=", 1) for s in arguments.postfix)
        self.postfix = peers.Postfix(os.path.join(directory, "postfix"), self.port,
                                     harness.free_port(), tuning, processes=connections + 50)

    def cpu(self):
        """Of every process, and of those that master has buried."""
        total = 0.0
        for pid in self.postfix.processes():
            try:
                total += harness.process_cpu(pid)
            except FileNotFoundError:
                pass
        return total + buried_cpu(self.postfix.process.pid)

    def verify(self, _accepted):
        self.postfix.close()  # a message on its way between two queues would count twice
        return self.postfix.queue_count()

    def close(self):
        self.postfix.close()


class SmtpSink:
    """Stores nothing: what the generator itself can do."""

    def __init__(self, _directory, _connections, _arguments):
        self.port = harness.free_port()
        self.sink = peers.SmtpSink(self.port)

    def cpu(self):
        return harness.process_cpu(self.sink.process.pid)

    def verify(self, accepted):
        return accepted

    def close(self):
        self.sink.close()


SIDES = {"backstay": Backstay, "postfix": Postfix, "smtp-sink": SmtpSink}


def buried_cpu(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def send(port, connections, messages, size):
    begin = time.monotonic()
    peers.smtp_source(port, "-d", "-s", str(connections), "-m", str(messages), "-l", str(size),
                      seconds=900)
    return time.monotonic() - begin


def measure(side, connections, arguments):
    """One fresh server: a warm-up, a short run to learn the rate, then the run that counts."""
    directory = tempfile.mkdtemp(prefix="backstay-bench-", dir=arguments.directory)
    os.chmod(directory, 0o755)
    server = SIDES[side](directory, connections, arguments)
    try:
        warm_up = max(WARM_UP_MESSAGES, connections)
        send(server.port, connections, warm_up, arguments.bytes)
        trial = send(server.port, connections, warm_up, arguments.bytes)
        messages = int(min(MESSAGES_MAX, max(warm_up, warm_up / trial * arguments.seconds)))
        cpu, generator = server.cpu(), generator_cpu()
        seconds = send(server.port, connections, messages, arguments.bytes)
        result = {"side": side, "connections": connections, "messages": messages,
                  "seconds": seconds, "rate": messages / seconds,
                  "cpu_us": (server.cpu() - cpu) / messages * 1e6,
                  "generator_us": (generator_cpu() - generator) / messages * 1e6}
        if arguments.verify:
            accepted = messages + 2 * warm_up
            result["kept"] = server.verify(accepted)
            assert result["kept"] == accepted, result
        return result
    finally:
        server.close()
        shutil.rmtree(directory, ignore_errors=True)


def generator_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def summary(results, sides, connections):
    """Medians of each side, and the spread of its rate."""
    rows = {}
    for side in sides:
        own = [r for r in results if r["side"] == side and r["connections"] == connections]
        rates = [r["rate"] for r in own]
        rows[side] = {"rate": statistics.median(rates), "lowest": min(rates), "highest": max(rates),
                      "cpu_us": statistics.median(r["cpu_us"] for r in own),
                      "generator_us": statistics.median(r["generator_us"] for r in own)}
    return rows


def report(summaries, sides):
    print("| connections | side | messages/s | lowest to highest | CPU us/message | generator's |")
    print("|---:|---|---:|---:|---:|---:|")
    for connections, rows in summaries.items():
        for side in sides:
            row = rows[side]
            print(f"| {connections} | {side} | {row['rate']:.0f} | {row['lowest']:.0f} to "
                  f"{row['highest']:.0f} | {row['cpu_us']:.0f} | {row['generator_us']:.0f} |")
        if "backstay" in rows and "postfix" in rows:
            print(f"| {connections} | ratio | {rows['backstay']['rate'] / rows['postfix']['rate']:.1f}"
                  f" | | 1/{rows['postfix']['cpu_us'] / max(1, rows['backstay']['cpu_us']):.0f} | |")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file if "model name" in line), "?")
    commit = subprocess.run(["git", "-C", harness.TOP, "rev-parse", "--short", "HEAD"],
                            capture_output=True, text=True, check=False).stdout.strip()
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
            "commit": commit, "load_before": os.getloadavg()[0], "time": time.strftime("%F %T")}


def parse_arguments():
    parser = argparse.ArgumentParser(description="messages/s and CPU a message, beside Postfix")
    parser.add_argument("--connections", default="10,100,500")
    parser.add_argument("--seconds", type=float, default=8, help="of each measured run, about")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument("--sides", default="backstay,postfix,smtp-sink")
    parser.add_argument("--postfix", nargs="*", default=[], metavar="key=value",
                        help="settings beside or instead of the tuning")
    parser.add_argument("--verify", action="store_true", help="count afterwards what was kept")
    parser.add_argument("--directory", help="where spools and queues are put (default: /tmp)")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    sides = arguments.sides.split(",")
    if "postfix" in sides and not peers.Postfix.available():
        sides.remove("postfix")
        print("Postfix's master wants root: only the other sides are measured", file=sys.stderr)
    about = machine()
    print("machine:", ", ".join(f"{key} {value}" for key, value in about.items()))
    print("postfix:", ", ".join(f"{k}={v}" for k, v in POSTFIX_TUNING.items()), *arguments.postfix)
    results, summaries = [], {}
    for connections in map(int, arguments.connections.split(",")):
        for round in range(arguments.rounds):
            for side in sides:
                result = measure(side, connections, arguments)
                results.append(result)
                print(f"{side}, {connections} connections, round {round + 1}: "
                      f"{result['rate']:.0f}/s, {result['cpu_us']:.0f} us", file=sys.stderr)
        summaries[connections] = summary(results, sides, connections)
    report(summaries, sides)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"machine": about, "bytes": arguments.bytes, "postfix": POSTFIX_TUNING,
                       "results": results, "medians": summaries}, file, indent=1)


if __name__ == "__main__":
    main()

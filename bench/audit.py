#!/usr/bin/env python3
# bench/audit.py -- is what was acknowledged still there? Load, SIGKILL at random moments, ledgers.
#
# audit.py [--server backstay|postfix|exim] [--seconds 20] [--kills 10] [--connections 32]
#          [--recipients 1] [--size 1KiB-64KiB:20,1MiB:1] [--outage "2s 4s every 6s"] [--seed N]
#          [--drain 120] [--json FILE]
#
# backstay-load writes down every recipient that was acknowledged, backstay-sink (the primary, with
# outages) every one that it took; both live through the kills of the server between them. At the
# end the server is started once more and everything must arrive. Lost: acknowledged, not delivered,
# and more than what is still queued. Duplicates are counted, not judged: a crash may cost them.
# Exit codes: 0 nothing lost or damaged; 1 a loss; 2 the queue did not drain in time; 3 nothing was
# acknowledged, so nothing was audited.
import argparse
import collections
import json
import os
import random
import subprocess
import sys
import time

import common
import judged
import recipe
import results
from common import harness, peers
import mail_servers  # noqa: E402  common has set the path

# Retries at once, or a deferred message would wait for minutes behind each outage.
POSTFIX_RETRIES = {"minimal_backoff_time": "1s", "maximal_backoff_time": "2s",
                   "queue_run_delay": "1s"}


class Backstay:
    def __init__(self, directory, primary_port, _arguments):
        self.daemon = harness.Daemon(directory, primary_port, {
            "smtp": {"max_connections_per_client": 10000}})
        self.daemon.start()
        self.port = self.daemon.port
        self.settings = {name: value for name, value in self.daemon.settings.items()
                         if name in ("smtp", "spool")}
        recipe.settings("backstay", self.settings)

    def start(self):
        self.daemon.start()

    def kill(self):
        self.daemon.kill()
        if self.daemon.died is not None:
            raise SystemExit(f"backstayd ended by itself with {self.daemon.died}:\n"
                             f"{self.daemon.log()[-4000:]}")

    def queued(self):
        return common.queued(self.daemon)

    def flush(self):
        """Everything is due now: who was deferred meanwhile has its next try in ten minutes."""
        subprocess.run([harness.binary("backstay"), "--endpoint",
                        self.daemon.settings["admin"]["socket"], "queue", "reset", "--all",
                        "--yes"], timeout=60, check=True, stdout=subprocess.DEVNULL)

    def close(self):
        self.daemon.close()


class Postfix:
    def __init__(self, directory, primary_port, arguments):
        self.settings = common.POSTFIX_TUNING | POSTFIX_RETRIES
        self.port = harness.free_port()
        self.postfix = peers.Postfix(os.path.join(directory, "postfix"), self.port, primary_port,
                                     self.settings, processes=arguments.connections + 50)

    def start(self):
        self.postfix.start()

    def kill(self):
        self.postfix.kill()

    def queued(self):
        return self.postfix.queue_count()

    def flush(self):
        pass  # POSTFIX_RETRIES

    def close(self):
        self.postfix.close()


class Exim:
    """Its queue runners start every second; SIGKILL is for all of its processes."""

    def __init__(self, directory, primary_port, _arguments):
        self.settings = {"queue runners": "each second", "retry": "each second"}
        self.port = harness.free_port()
        home = os.path.join(directory, "exim")
        os.makedirs(home)
        os.chmod(home, 0o755)
        self.exim = mail_servers.Exim(home, self.port, primary_port)

    def start(self):
        self.exim.start()

    def kill(self):
        self.exim.kill()

    def queued(self):
        return self.exim.queue_count()

    def flush(self):
        pass  # its retries

    def close(self):
        self.exim.close()


SERVERS = {"backstay": Backstay, "postfix": Postfix, "exim": Exim}


def read_ledger(path):
    """Counts of its lines; a last line that is still being written is none."""
    with open(path, encoding="ascii") as file:
        return collections.Counter(line for line in file if line.endswith("\n"))


def kill_at_random(server, arguments, draw, load):
    """Evenly spread but for chance, over the time of the load."""
    kills = []
    for _ in range(arguments.kills):
        time.sleep(draw.uniform(0.2, 1.8) * arguments.seconds / (arguments.kills + 1))
        if load.poll() is not None:
            break
        server.kill()
        kills.append(time.monotonic())
        if draw.random() < 0.2:  # and once more, while it recovers
            server.start()
            time.sleep(draw.uniform(0, 0.05))
            server.kill()
            kills.append(time.monotonic())
        server.start()
    return kills


def wait_drained(server, sink, acknowledged, seconds):
    """Until everything acknowledged has arrived, or the queue stays empty: what it holds then."""
    end, empty, turn = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        if turn % 4 == 0:  # again and again: an outage of the primary may defer it once more
            server.flush()
        turn += 1
        sink.result()  # flushes the ledger
        if not set(acknowledged) - set(read_ledger(sink.ledger)):
            return 0
        empty = empty + 1 if server.queued() == 0 else 0
        if empty >= 4:
            return 0
        time.sleep(0.5)
    return server.queued()


def lost(missing, queued):
    """A queue may hold what is missing, but not more than it has."""
    return max(0, missing - queued)


def verdict(found):
    """The exit code."""
    if found["lost"] or found["damaged"] or found["violations"]:
        return 1
    if not found["acknowledged"]:
        return 3
    return 2 if found["queued"] else 0


def audit(arguments, directory):
    draw = random.Random(arguments.seed)
    sink_flags = ["--outage", arguments.outage] if arguments.outage else []
    sink = common.BackstaySink(*sink_flags, directory=directory)
    server = SERVERS[arguments.server](directory, sink.port, arguments)
    ledger = os.path.join(directory, "load.ledger")
    load_json = os.path.join(directory, "load.json")
    load = subprocess.Popen(
        common.load_command(server.port, "--connections", arguments.connections, "--duration",
                            f"{arguments.seconds}s", "--size", arguments.size, "--recipients",
                            arguments.recipients, "--pipelining", "envelope", "--timeout", "10s",
                            "--seed", arguments.seed, "--ledger", ledger, "--json", load_json,
                            *(["--rate", arguments.rate] if arguments.rate else [])),
        stdin=subprocess.DEVNULL)
    try:
        kills = kill_at_random(server, arguments, draw, load)
        load.wait(arguments.seconds + 60)
        server.kill()  # the last one, with nothing on its way in
        server.start()
        acknowledged = read_ledger(ledger)
        queued = wait_drained(server, sink, acknowledged, arguments.drain)
    finally:
        if load.poll() is None:
            load.kill()
            load.wait()
        server.close()
        seen = sink.close()
    with open(load_json, encoding="utf-8") as file:
        sent = json.load(file)
    delivered = read_ledger(sink.ledger)
    missing = set(acknowledged) - set(delivered)
    asked = ("server", "seed", "seconds", "connections", "rate", "recipients", "size", "outage")
    return {**{name: getattr(arguments, name) for name in asked}, "settings": server.settings,
            "kills": len(kills) + 1, "acknowledged": sum(acknowledged.values()),
            "in_doubt": sent["messages"]["lost"], "refused": sent["messages"]["refused"],
            "delivered": len(delivered), "queued": queued,
            "lost": lost(len(missing), queued), "missing": len(missing),
            "first_missing": sorted(line.strip() for line in missing)[:10],
            "unacknowledged_delivered": len(set(delivered) - set(acknowledged)),
            "duplicated": sum(delivered.values()) - len(delivered),
            "damaged": seen["damaged"], "violations": seen["violations"],
            "refused_by_primary": seen["refusals"]}


def report(found):
    print("settings:", json.dumps(found["settings"]))
    for key in ("server", "seconds", "connections", "rate", "recipients", "size", "outage", "seed",
                "kills", "acknowledged", "delivered", "queued", "missing",
                "lost", "duplicated", "damaged", "violations", "in_doubt", "unacknowledged_delivered"):
        print(f"{key:>26}  {found[key]}")
    for line in found["first_missing"]:
        print("missing:", line)


def main():
    parser = argparse.ArgumentParser(description="is what was acknowledged still there?")
    parser.add_argument("--server", choices=sorted(SERVERS), default="backstay")
    parser.add_argument("--seconds", type=int, default=20, help="of load")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0, help="open loop; 0: as fast as it goes")
    parser.add_argument("--recipients", type=int, default=1)
    parser.add_argument("--size", default="1KiB-64KiB:20,1MiB:1")
    parser.add_argument("--outage", default="2s 4s every 6s", help="of the primary; empty: none")
    parser.add_argument("--drain", type=float, default=120, help="seconds for the queue at the end")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--directory", default=common.DIRECTORY,
                        help=f"where spools and queues are put (default: {common.DIRECTORY})")
    parser.add_argument("--json", metavar="FILE",
                        help="default: build/bench/audit-SERVER-TIME.json")
    arguments = parser.parse_args()
    data = results.header("audit", arguments)
    with common.scratch(arguments.directory) as directory:
        found = judged.watched(audit, arguments, directory)
    report(found)
    results.complete(data)
    results.write(arguments.json or results.default_path(f"audit-{arguments.server}"),
                  data | {"audit": found})
    sys.exit(verdict(found))


if __name__ == "__main__":
    main()

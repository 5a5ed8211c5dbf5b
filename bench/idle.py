#!/usr/bin/env python3
# bench/idle.py -- what clients cost that only stay: memory each, and CPU of the daemon (P11).
#
# idle.py [--clients 1000,5000,15000] [--daemons 1] [--seconds 10] [--json FILE]
#
# The clients greet and say nothing more, from as many addresses of 127.0.0.0/8 as they need. Memory
# is the daemon's own (anonymous); what the kernel keeps for both ends of each connection, and what
# is left of the machine, stand beside it. The goal speaks of a million clients; judged is what
# each of the largest size costs, and its row says how many they are. A daemon that has clients at
# all has some buffers and conversations to spare, once: what one client more costs is the
# difference between the two largest sizes, and what each would cost where there are many more. A
# process has no more connections than descriptors (`ulimit -Hn`, less a few): where that is less
# than the machine's memory holds, --daemons spreads the clients over several daemons and
# generators.
import contextlib
import math
import os
import resource
import subprocess
import time

import common
from common import harness

# Beside its clients' a daemon keeps descriptors for primaries, files and the operator: it takes no
# more clients than that leaves, and from nine tenths of them on whoever is idle has to go.
OWN_DESCRIPTORS = 3200
PLACES_USED = 0.9
SECONDS_MAX = 600  # until all are there


def anonymous(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024


def available():
    """What the whole machine has left."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("MemAvailable")) * 1024


def slab():
    """Of the whole kernel: the difference is what sockets and requests on both sides hold."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Slab:")) * 1024


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def raise_limit():
    """As many descriptors as we may have; the daemon and the generator inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with open("/proc/sys/fs/nr_open", encoding="ascii") as file:
        wanted = int(file.read())
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Crowd:
    """One daemon, and one generator whose clients stay."""

    def __init__(self, directory, clients, seconds):
        os.makedirs(directory, mode=0o755)
        self.clients = clients
        self.server = common.Backstay(directory, settings={
            "smtp": {"max_connections": 2_000_000, "max_connections_per_client": 100_000,
                     "idle_timeout": "30m"},
            "spool": {"segment_size": "16MiB", "reserve": "64MiB"}})
        self.pid = self.server.pids()[0]
        common.load(self.server.port, "--messages", 200)
        self.memory, self.descriptors = anonymous(self.pid), descriptors(self.pid)
        self.load = None
        self.seconds = seconds

    def come(self):
        self.load = subprocess.Popen(
            common.load_command(self.server.port, "--connections", 0, "--idle", self.clients,
                                "--sources", max(1, self.clients // 10000), "--timeout", "60s",
                                "--duration", f"{2 * SECONDS_MAX + self.seconds:.0f}s"),
            stdin=subprocess.DEVNULL)

    def here(self):
        return descriptors(self.pid) - self.descriptors

    def growth(self):
        return anonymous(self.pid) - self.memory

    def close(self):
        if self.load is not None:
            self.load.kill()
            self.load.wait(60)
        self.server.close()


def measure(clients, arguments):
    with common.scratch(arguments.directory) as directory, contextlib.ExitStack() as stack:
        crowds = []
        for number in range(arguments.daemons):
            crowds.append(Crowd(os.path.join(directory, str(number)), clients // arguments.daemons,
                                arguments.seconds))
            stack.callback(crowds[-1].close)
        kernel, begin = slab(), time.monotonic()
        for crowd in crowds:
            crowd.come()
            harness.wait_until(lambda crowd=crowd: crowd.here() >= crowd.clients, SECONDS_MAX,
                               lambda crowd=crowd: f"{crowd.here()} of {crowd.clients} came")
        came = time.monotonic() - begin
        time.sleep(3)
        kernel = slab() - kernel
        memory = sum(crowd.growth() for crowd in crowds)
        cpu, begin = sum(crowd.server.cpu() for crowd in crowds), time.monotonic()
        with common.window():
            time.sleep(arguments.seconds)
        share = (sum(crowd.server.cpu() for crowd in crowds) - cpu) / (time.monotonic() - begin)
        clients = sum(crowd.here() for crowd in crowds)
        return {"clients": clients, "bytes_all": memory, "bytes_each": memory / clients,
                "kernel_bytes_each": kernel / clients, "idle_core": share,
                "arrivals_per_second": clients / came, "left_mib": available() / 2**20}


def main():
    parser = common.parser("memory and CPU of clients that only stay", seconds=10, rounds=1)
    parser.add_argument("--clients", default="1000,5000,15000")
    parser.add_argument("--daemons", type=int, default=1)
    arguments = parser.parse_args()
    limit = raise_limit()
    sizes = [int(text) for text in arguments.clients.split(",")]
    most = math.ceil(max(sizes) / arguments.daemons / PLACES_USED) + OWN_DESCRIPTORS
    if most > limit:
        parser.error(f"{most:,} descriptors in one process are wanted, and {limit:,} are allowed: "
                     f"more --daemons, or a higher limit (ulimit -Hn)")
    result = common.Result("idle", arguments)
    result.data["machine"]["descriptors of a process"] = limit
    runs = common.alternate(sizes, arguments.rounds, lambda n: measure(n, arguments))
    result.data["runs"] = {str(size): found for size, found in runs.items()}
    most = runs[sizes[-1]]
    daemons = "" if arguments.daemons == 1 else f" of {arguments.daemons} daemons"
    result.row("P11", f"bytes of the daemon for each of {sizes[-1]:,} idle clients{daemons} "
               "(the goal speaks of 1,000,000)", common.median(most, "bytes_each"),
               ours=common.median(most, "bytes_each"), unit="B",
               theirs=common.median(most, "kernel_bytes_each"), baseline="kernel, both ends",
               runs=most,
               spreads={"bytes": common.spread(most, "bytes_each")})
    if len(sizes) > 1:
        fewer = runs[sizes[-2]]
        further = ((common.median(most, "bytes_all") - common.median(fewer, "bytes_all"))
                   / (common.median(most, "clients") - common.median(fewer, "clients")))
        result.row("P11 further", f"bytes for each further one, {sizes[-2]:,} to {sizes[-1]:,}"
                   f"{daemons}", further, ours=further, unit="B", runs=most + fewer)
    share = 100 * common.median(most, "idle_core")
    result.row("", f"percent of a core, {sizes[-1]:,} idle clients, primary down", share,
               ours=share, unit="%", runs=most)
    result.plot(kind="bars", title="Bytes of the daemon for each idle client", unit="B",
                values={f"backstay, {size:,} clients": common.median(found, "bytes_each")
                        for size, found in runs.items()})
    result.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# bench/idle.py -- what clients cost that only stay: memory each, and CPU of the daemon (P11).
#
# idle.py [--clients 1000,10000,20000] [--seconds 10] [--json FILE]
#
# The clients greet and say nothing more, from as many addresses of 127.0.0.0/8 as they need. Memory
# is the daemon's own (anonymous); what the kernel keeps for a socket stands beside it.
import subprocess
import time

import common
from common import harness


def anonymous(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024


def slab_bytes():
    """Of the whole kernel: the difference is what sockets on both sides hold."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Slab:")) * 1024


def measure(clients, arguments):
    with common.scratch(arguments.directory) as directory:
        server = common.Backstay(directory, settings={
            "smtp": {"max_connections": 2_000_000, "max_connections_per_client": 100_000}})
        pid = server.pids()[0]
        common.load(server.port, "--messages", 200)
        before, slab = anonymous(pid), slab_bytes()
        load = subprocess.Popen(
            common.load_command(server.port, "--connections", 0, "--idle", clients, "--sources",
                                max(1, clients // 10000), "--duration", "600s"),
            stdin=subprocess.DEVNULL)
        try:
            harness.wait_until(lambda: connections(server.port) >= clients, 120,
                               lambda: f"{connections(server.port)} of {clients} came")
            time.sleep(2)
            memory, kernel = anonymous(pid) - before, slab_bytes() - slab
            cpu, begin = server.cpu(), time.monotonic()
            time.sleep(arguments.seconds)
            share = (server.cpu() - cpu) / (time.monotonic() - begin)
            return {"clients": clients, "bytes_each": memory / clients,
                    "kernel_bytes_each": kernel / clients, "idle_core": share}
        finally:
            load.terminate()
            load.wait(60)
            server.close()


def connections(port):
    """Established, on the server's side."""
    wanted, count = f":{port:04X}", 0
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in file:
            fields = line.split(None, 4)
            count += fields[1].endswith(wanted) and fields[3] == "01"
    return count


def main():
    parser = common.parser("memory and CPU of clients that only stay", seconds=10, rounds=1)
    parser.add_argument("--clients", default="1000,10000,20000")
    arguments = parser.parse_args()
    sizes = [int(text) for text in arguments.clients.split(",")]
    result = common.Result("idle", arguments)
    runs = common.alternate(sizes, arguments.rounds, lambda n: measure(n, arguments))
    result.data["runs"] = {str(size): found for size, found in runs.items()}
    most = runs[sizes[-1]]
    result.row("P11", f"bytes of the daemon for each of {sizes[-1]:,} idle clients",
               common.median(most, "bytes_each"), ours=common.median(most, "bytes_each"), unit="B",
               theirs=common.median(most, "kernel_bytes_each"), baseline="kernel, both ends",
               spreads={"bytes": common.spread(most, "bytes_each")})
    share = 100 * common.median(most, "idle_core")
    result.row("", f"percent of a core, {sizes[-1]:,} idle clients, primary down", share,
               ours=share, unit="%")
    result.plot(kind="bars", title="Bytes of the daemon for each idle client", unit="B",
                values={f"backstay, {size:,} clients": common.median(found, "bytes_each")
                        for size, found in runs.items()})
    result.finish()


if __name__ == "__main__":
    main()

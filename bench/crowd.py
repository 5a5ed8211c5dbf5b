#!/usr/bin/env python3
# bench/crowd.py -- what clients that drip or never read cost those that behave.
#
# crowd.py [--drips 10000] [--unread 1000] [--connections 256] [--seconds 4] [--rounds 3]
#
# One daemon, its primary down: a closed loop alone, then the same beside a crowd of its own process.
# Drips send a byte a second from EHLO on; the others send commands and take no reply. Whoever is
# thrown out comes again a second later. Judged is what a message costs the server: the crowd's own CPU
# is of the same machine here, and where it has no core to spare the others lose that as well. The
# rates stand beside.
import contextlib
import math
import signal
import subprocess
import time

import common
import idle
import judged
from common import harness

SOURCE_CLIENTS = 10  # of each address: strangers, not one that a limit of connections would stop
THERE = 0.95         # of the crowd: some are always between two connections
PROBE_SHARE = 0.5    # of the peak, for the latency of those who do not saturate


@contextlib.contextmanager
def crowd(server, arguments):
    """Its process, once nearly all are there."""
    clients = arguments.drips + arguments.unread
    before = idle.descriptors(server.pids()[0])
    process = subprocess.Popen(
        common.load_command(server.port, "--connections", 0, "--slow-drip", arguments.drips,
                            "--no-read", arguments.unread, "--sources",
                            max(1, clients // SOURCE_CLIENTS), "--duration", "10m"),
        stdin=subprocess.DEVNULL)
    try:
        harness.wait_until(lambda: here(server, before) >= clients * THERE, 60,
                           lambda: f"{here(server, before)} of {clients} came")
        yield process, before
    finally:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait(20)


def here(server, before):
    return idle.descriptors(server.pids()[0]) - before


def paced(server, rate, arguments):
    return common.measured_load(server, arguments.seconds, "--connections", arguments.connections,
                                "--rate", rate, "--poisson", warm_up=1)


def measure(_side, arguments):
    with common.scratch(arguments.directory) as directory:
        server = common.Backstay(directory)
        try:
            alone = common.flood(server, arguments.connections, arguments.seconds)
            calm = paced(server, alone["rate"] * PROBE_SHARE, arguments)
            memory = idle.anonymous(server.pids()[0])
            with crowd(server, arguments) as (process, before):
                spent, begin = harness.process_cpu(process.pid), time.monotonic()
                beside = common.flood(server, arguments.connections, arguments.seconds)
                pressed = paced(server, alone["rate"] * PROBE_SHARE, arguments)
                cores = (harness.process_cpu(process.pid) - spent) / (time.monotonic() - begin)
                stay = here(server, before)
                memory = idle.anonymous(server.pids()[0]) - memory
        finally:
            server.close()
    return {"alone": alone["rate"], "beside": beside["rate"],
            "share": beside["rate"] / alone["rate"],
            "cpu_share": alone["cpu_us"] / beside["cpu_us"],
            "alone_cpu_us": alone["cpu_us"], "beside_cpu_us": beside["cpu_us"],
            **{f"{name}_p99_us": common.percentile(found["latency_us"],
                                                   beyond=found["messages"]["lost"])
               for name, found in (("calm", calm), ("pressed", pressed))},
            "samples": min(calm["latency_us"]["count"], pressed["latency_us"]["count"]),
            "paced_share": pressed["rate"] / calm["rate"] if calm["rate"] else None,
            "crowd": stay, "crowd_cores": cores, "crowd_mib": memory / 2**20,
            "errors": judged.added(beside["errors"], pressed["all_errors"])}


def main():
    parser = common.parser("what clients that drip or never read cost the others")
    parser.add_argument("--drips", type=int, default=10_000)
    parser.add_argument("--unread", type=int, default=1_000)
    parser.add_argument("--connections", type=int, default=256, help="that behave")
    arguments = parser.parse_args()
    limit = idle.raise_limit()
    clients = arguments.drips + arguments.unread + arguments.connections
    wanted = math.ceil(clients / idle.PLACES_USED) + idle.OWN_DESCRIPTORS  # without stress
    if wanted > limit:
        parser.error(f"{wanted:,} descriptors in one process are wanted, and {limit:,} are allowed")
    result = common.Result("crowd", arguments)
    own = common.alternate(["backstay"], arguments.rounds,
                           lambda side: measure(side, arguments))["backstay"]
    result.data["runs"] = own
    cores = common.median(own, "crowd_cores")
    stay = common.median(own, "crowd")
    result.row("crowd", f"server's CPU a message without them, against beside {stay:,.0f} that drip or "
               "do not read", common.median(own, "cpu_share"),
               ours=common.median(own, "beside_cpu_us"), theirs=common.median(own, "alone_cpu_us"),
               unit="us", baseline="without them", runs=own,
               spreads={"share": common.spread(own, "cpu_share")})
    result.row("", f"messages/s beside them, whose process takes {cores:.2f} of the same cores",
               common.median(own, "share"), ours=common.median(own, "beside"),
               theirs=common.median(own, "alone"), unit="/s", baseline="without them", runs=own,
               spreads={"share": common.spread(own, "share")})
    result.row("", f"at {PROBE_SHARE:.0%} of the peak: taken, against the same without them",
               common.median(own, "paced_share"), runs=own)
    result.row("", f"at {PROBE_SHARE:.0%} of the peak: p99 from due to 250",
               common.median(own, "pressed_p99_us"), ours=common.median(own, "pressed_p99_us"),
               theirs=common.median(own, "calm_p99_us"), unit="us", baseline="without them",
               runs=own, samples="samples",
               spreads={"p99": common.spread(own, "pressed_p99_us")})
    result.row("", "memory of the daemon for the crowd", common.median(own, "crowd_mib"),
               ours=common.median(own, "crowd_mib"), unit="MiB", runs=own)
    result.finish()


if __name__ == "__main__":
    main()

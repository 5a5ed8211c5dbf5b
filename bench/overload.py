#!/usr/bin/env python3
# bench/overload.py -- three times more mail than fits: goodput, refusals, memory (P9).
#
# overload.py [--times 3] [--size 256KiB] [--limit 1000] [--connections 12000] [--share 0]
#             [--timeout 2s] [--seconds 8]
#
# The server has one shard and one core, or a share of it (a control group), the generator the other,
# so that it can offer a multiple of what the server takes and does not starve it. Messages are large:
# then it is the disk that is full, as with small ones on a machine with more cores, and to refuse is
# cheaper than to take. First a closed loop over fewer connections than it admits, each for so many
# messages. Then an open loop with `times` of that from many more: whoever comes when the limit is
# reached gets 421, and the message is lost for this run, as a sender would try elsewhere or later.
# Who had no answer within the timeout counts as offered; who had no greeting by then, as a refusal
# that took longer than all others. The peak is the better of both runs; below 2.7 times the peak,
# as offered (a connection asked for), nothing is judged, nor where the generator's core was full and
# the server's was not: then the peak is the generator's.
import common
import judged
import quota
from common import harness

TIMES_LEAST = 2.7  # the goal speaks of three times
FULL = 0.9         # of a core, or of a share of one


def settings(limit):
    return {"smtp": {"max_connections": limit, "max_connections_per_client": 100000}}


def highest_rss(pid):
    """So far; from here on it is counted anew."""
    highest = harness.process_rss(pid, "VmHWM")
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")
    return highest


def measure(_side, arguments):
    with common.scratch(arguments.directory) as directory:
        server = common.Backstay(directory, settings=settings(arguments.limit), core=0)
        try:
            with quota.share(server.pids()[0], arguments.share or None):
                return offer(server, arguments)
        finally:
            server.close()


def offer(server, arguments):
    flags = ("--per-connection", arguments.per_connection, "--pipelining", "envelope")
    peak = common.flood(server, arguments.limit // 2, arguments.seconds, *flags,
                        size=arguments.size, core=1)
    pid = server.pids()[0]
    memory = highest_rss(pid)
    found = common.measured_load(server, arguments.seconds, "--connections", arguments.connections,
                                 "--rate", max(1, peak["rate"] * arguments.times), "--timeout",
                                 arguments.timeout, "--size", arguments.size, *flags, warm_up=2,
                                 core=1, refusals=True)
    best = max(peak["rate"], found["rate"], 1)
    late = ungreeted(found)
    refused = judged.percentile(found["refusal_us"], beyond=late)
    answered = (found["acknowledged"] + found["refused"]) / found["window_s"]
    return {"closed_loop": peak["rate"], "peak": best, "rate": found["rate"],
            "answered": answered, "offered": found["offered"] / found["window_s"],
            "offered_times": found["offered"] / found["window_s"] / best,
            "goodput": found["rate"] / best,
            "refusal_p99_ms": None if refused is None else refused / 1000,
            "refusals": found["refusal_us"]["count"] + late, "refusals_late": late,
            "commit_p99_us": judged.percentile(found["commit_us"]),
            "growth": (harness.process_rss(pid, "VmHWM") - memory) / 2**20,
            "server_cores": found["server_cpu"] / found["window_s"],
            "generator_cores": found["generator_cpu"] / found["window_s"],
            "refused": found["messages"]["refused"], "unsent": found["unsent"],
            "errors": found["all_errors"],
            "series": found["series"][:int(arguments.seconds)]}


def ungreeted(found):
    """Messages whose connection had neither a greeting nor a refusal in time."""
    return found["unsent"] + sum(count for what, count in found["errors"].items()
                                 if what.startswith(("connect lost", "greeting lost")))


def generator_bound(run, share):
    """Why it is the generator that has been measured; None: it is not."""
    if run["generator_cores"] > FULL and run["server_cores"] < FULL * share:
        return (f"the generator's core was full ({run['generator_cores']:.2f}), the server had "
                f"{run['server_cores']:.2f} of {share:.2f}")
    return None


def unanswered(run):
    """Why its refusals have no 99th percentile; None: they have."""
    late, count = run["refusals_late"], run["refusals"]
    if late > judged.ERRORS_MAX * count:
        return f"{late:,} of {count:,} refusals never came"
    return None


def first_reason(runs, *checks):
    return next((reason for run in runs for check in checks if (reason := check(run))), None)


def main():
    parser = common.parser("goodput, refusals and memory at a multiple of the peak", seconds=8)
    parser.add_argument("--times", type=float, default=3)
    parser.add_argument("--share", type=float, default=0, help="of a core, for the server; 0: all")
    parser.add_argument("--size", default="256KiB", help="of a message")
    parser.add_argument("--limit", type=int, default=1000, help="smtp.max_connections")
    parser.add_argument("--connections", type=int, default=12000, help="of the generator")
    parser.add_argument("--timeout", default="2s", help="of the generator's patience")
    parser.add_argument("--per-connection", type=int, default=1)
    arguments = parser.parse_args()
    result = common.Result("overload", arguments)
    runs = common.alternate(["backstay"], arguments.rounds, lambda s: measure(s, arguments))
    result.data["runs"] = runs
    own = runs["backstay"]
    offered, rate = common.median(own, "offered_times"), common.median(own, "answered")
    unjudged = f"{offered:.1f} times the peak was offered, not {TIMES_LEAST}" \
        if offered < TIMES_LEAST else \
        first_reason(own, lambda run: generator_bound(run, arguments.share or 1))
    result.row("P9 goodput", f"goodput of {arguments.size} messages with {offered:.1f} times the peak "
               f"offered, {rate:,.0f}/s answered, against the peak",
               common.median(own, "goodput"), unjudged=unjudged, ours=common.median(own, "rate"),
               theirs=common.median(own, "peak"), unit="/s", baseline="own peak", runs=own,
               spreads={"goodput": common.spread(own, "goodput")})
    result.row("P9 refusal", "a refusal, from due to 421, p99",
               common.median(own, "refusal_p99_ms"), runs=own, samples="refusals",
               unjudged=unjudged or first_reason(own, unanswered),
               ours=common.median(own, "refusal_p99_ms"), unit="ms",
               spreads={"refusal": common.spread(own, "refusal_p99_ms")})
    result.row("P9 memory", "growth of memory over the peak's", common.median(own, "growth"),
               ours=common.median(own, "growth"), unit="MiB", unjudged=unjudged, runs=own,
               spreads={"growth": common.spread(own, "growth")})
    result.plot(kind="lines", title=f"Overload: messages each second at {arguments.times:.1f}x",
                unit="/s", series={"taken": [s[0] for s in own[0]["series"]],
                                   "refused": [s[1] for s in own[0]["series"]],
                                   "connection lost": [s[2] for s in own[0]["series"]]},
                marks={"own peak": own[0]["peak"]})
    result.finish()


if __name__ == "__main__":
    main()

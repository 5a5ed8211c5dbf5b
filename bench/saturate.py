#!/usr/bin/env python3
# bench/saturate.py -- messages/s at saturation, CPU and system calls a message (P1 P2 P3 P4 P10).
#
# saturate.py [--connections 256] [--seconds 4] [--rounds 3] [--bytes 4096] [--json FILE]
#             [--sides backstay,postfix,smtp-sink] [--ways off,chained]
#
# One generator (backstay-load, a closed loop, connections kept open) against each side in turn, on
# this machine, in this run; the primary of backstay and Postfix is down. The generator has the
# machine to share with the server, so its CPU stands beside. README.md has the method. Without root
# Postfix is left out, without perf the system calls.
import threading
import time

import common

SIDES = {"backstay": common.Backstay, "postfix": common.Postfix, "smtp-sink": common.SmtpSink}


def make(side, directory, connections):
    if side == "postfix":
        return common.Postfix(directory, processes=connections + 50)
    return SIDES[side](directory)


def measure(side, way, arguments):
    """One fresh server: the run that counts, then a short one with perf beside it."""
    with common.scratch(arguments.directory) as directory:
        server = make(side, directory, arguments.connections)
        try:
            result = common.flood(server, arguments.connections, arguments.seconds,
                                  "--pipelining", way, size=arguments.bytes)
            result["system_calls"] = calls_per_message(server, way, arguments)
            return result
        finally:
            server.close()


def calls_per_message(server, way, arguments):
    """Counted apart: the counting itself costs time. Behind a warm-up, as the run that counts."""
    counted = {}
    flags = ("--connections", arguments.connections, "--warm-up", "1s", "--duration", "4s",
             "--size", arguments.bytes, "--pipelining", way)
    thread = threading.Thread(target=lambda: counted.update(common.load(server.port, *flags)))
    thread.start()
    time.sleep(2)
    calls = common.system_calls(server.pids(), 2)  # from the second second to the third, about
    thread.join()
    messages = sum(taken for taken, *_ in counted["series"][1:3])
    return calls / messages if calls is not None and messages else None


def report(result, runs, ways):
    def middle(side, way, key):
        return common.median(runs.get(f"{side} {way}", []), key)

    def add(goal, what, way, theirs, key, unit):
        both = {side: runs.get(f"{side} {way}", []) for side in ("backstay", theirs)}
        value = common.ratio(middle("backstay", way, key), middle(theirs, way, key))
        result.row(goal, what, value, ours=middle("backstay", way, key),
                   theirs=middle(theirs, way, key), unit=unit, baseline=theirs,
                   spreads={side: common.spread(found, key) for side, found in both.items()},
                   runs=sum(both.values(), []))

    for way in ways:
        name = "without pipelining" if way == "off" else f"pipelining {way}"
        add("P1" if way == "off" else "P2", f"messages/s, {name}", way, "postfix", "rate", "/s")
        add("P3", f"messages/s, {name}", way, "smtp-sink", "rate", "/s")
        add("P4", f"server's CPU a message, {name}", way, "smtp-sink", "cpu_us", "us")
        calls, own = middle("backstay", way, "system_calls"), runs.get(f"backstay {way}", [])
        result.row("P10", f"system calls a message, {name}", calls, ours=calls, runs=own,
                   theirs=middle("postfix", way, "system_calls"), baseline="postfix",
                   spreads={"backstay": common.spread(own, "system_calls")},
                   unjudged=common.lacks("perf"))


def label(name):
    return "{}, pipelining {}".format(*name.rsplit(" ", 1))


def main():
    parser = common.parser("messages/s, CPU and system calls a message, at saturation")
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument("--sides", default="backstay,postfix,smtp-sink")
    parser.add_argument("--ways", default="off,chained", help="of --pipelining of backstay-load")
    arguments = parser.parse_args()
    sides, ways = arguments.sides.split(","), arguments.ways.split(",")
    sides = common.as_root(sides, ("backstay", "smtp-sink"))
    result = common.Result("saturate", arguments)
    names = [f"{side} {way}" for way in ways for side in sides]
    runs = common.alternate(names, arguments.rounds,
                            lambda name: measure(*name.rsplit(" ", 1), arguments))
    result.data["runs"] = runs
    report(result, runs, ways)
    for key, title, unit in (("rate", "Messages/s", "/s"), ("cpu_us", "Server's CPU a message", "us"),
                             ("generator_us", "Generator's CPU a message", "us")):
        result.plot(kind="bars", title=title, unit=unit, log=key != "generator_us",
                    values={label(n): common.median(runs[n], key) for n in names},
                    spreads={label(n): common.spread(runs[n], key) for n in names})
    result.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# bench/drain.py -- the primary is back: how fast the queue goes out, and how soon it begins (P14).
#
# drain.py [--messages 40000] [--connections 20] [--rounds 3] [--bytes 4096] [--json FILE]
#
# backstay is filled while its primary is down, then smtp-sink or backstay-sink comes up at that
# port. The baseline is smtp-source into smtp-sink over as many connections, in turn.
import time

import common
from common import harness

SIDES = ("smtp-source to smtp-sink", "backstay to smtp-sink", "backstay to backstay-sink")


def filled(directory, arguments):
    port = harness.free_port()
    server = common.Backstay(directory, port, settings={
        "delivery": {"max_connections_per_primary": arguments.connections}})
    found = common.load(server.port, "--connections", 64, "--messages", arguments.messages,
                        "--size", arguments.bytes, "--pipelining", "chained")
    assert found["messages"]["acknowledged"] == arguments.messages, found["errors"]
    time.sleep(2.5)  # the primary is known to be down, and its probes have their pace
    return server, port


def measure(side, arguments):
    if side == SIDES[0]:
        sink = common.SmtpSink()
        try:
            seconds, _ = common.smtp_source(sink.port, arguments.connections, arguments.messages,
                                            arguments.bytes)
            return {"rate": arguments.messages / seconds}
        finally:
            sink.close()
    with common.scratch(arguments.directory) as directory:
        server, port = filled(directory, arguments)
        up, before = time.time(), server.cpu()
        sink = common.SmtpSink(port=port) if side == SIDES[1] else \
            common.BackstaySink(port=port)
        try:
            harness.wait_until(lambda: common.queued(server.daemon) == 0, 300, "an empty queue")
            end = time.time()
            found = {"cpu_us": (server.cpu() - before) / arguments.messages * 1e6}
            if side == SIDES[1]:
                # The first delivery is not seen by smtp-sink; that it takes part of a second counts.
                return found | {"rate": arguments.messages / (end - up)}
            seen = sink.result()
            assert seen["taken"] == arguments.messages, seen
            return found | {"rate": seen["rate"], "first_s": seen["first_at"] - up,
                            "whole_rate": arguments.messages / (seen["last_at"] - up),
                            "duplicates": seen["duplicates"], "damaged": seen["damaged"],
                            "sink_series": seen["series"]}
        finally:
            server.close()
            sink.close()


def main():
    parser = common.parser("how fast a queue drains, beside smtp-source")
    parser.add_argument("--messages", type=int, default=40000)
    parser.add_argument("--connections", type=int, default=20, help="to the primary")
    parser.add_argument("--bytes", type=int, default=4096)
    arguments = parser.parse_args()
    result = common.Result("drain", arguments)
    runs = common.alternate(SIDES, arguments.rounds, lambda side: measure(side, arguments))
    result.data["runs"] = runs
    theirs = common.median(runs[SIDES[0]], "rate")
    for goal, side in (("P14 smtp-sink", SIDES[1]), ("P14 backstay-sink", SIDES[2])):
        ours = common.median(runs[side], "rate")
        result.row(goal, f"messages/s, {side}", common.ratio(ours, theirs), ours=ours,
                   theirs=theirs, unit="/s", baseline=SIDES[0],
                   spreads={s: common.spread(runs[s], "rate") for s in (side, SIDES[0])})
    first = common.median(runs[SIDES[2]], "first_s")
    result.row("P14 first", "seconds from the primary's start to the first delivery", first,
               unit="s", spreads={"first": common.spread(runs[SIDES[2]], "first_s")})
    result.plot(kind="bars", title="Draining: messages/s", unit="/s",
                values={side: common.median(runs[side], "rate") for side in SIDES},
                spreads={side: common.spread(runs[side], "rate") for side in SIDES})
    result.finish()


if __name__ == "__main__":
    main()

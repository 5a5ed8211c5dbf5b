#!/usr/bin/env python3
# bench/drain.py -- the primary is back: how fast the queue goes out, and how soon it begins (P14).
#
# drain.py [--messages 40000] [--connections 20] [--rounds 3] [--bytes 4096] [--json FILE]
#
# backstay is filled while its primary is down, then smtp-sink or backstay-sink comes up at that
# port. The baseline is smtp-source into smtp-sink over as many connections, in turn. Every rate
# that is judged is of the whole time: of smtp-source from its start to its end, of backstay from
# the start of the primary's process to the last delivery, the pause before the first included.
# backstay-sink says when the last delivery was; with smtp-sink it is when the queue is seen empty,
# looked for 20 times a second. The rate from first to last delivery stands beside, and is no goal.
# System calls are counted in a run of their own, for half a second when a quarter has gone: the
# counting costs time.
import contextlib
import time

import common
from common import harness

COUNTED_SECONDS = 0.5
SIDES = ("smtp-source to smtp-sink", "backstay to smtp-sink", "backstay to backstay-sink")


@contextlib.contextmanager
def filled(arguments):
    """A server with all of the mail, and the port of its primary, which is down."""
    with common.scratch(arguments.directory) as directory:
        port = harness.free_port()
        server = common.Backstay(directory, port, settings={
            "delivery": {"max_connections_per_primary": arguments.connections}})
        try:
            fill(server, arguments)
            yield server, port
        finally:
            server.close()


def fill(server, arguments):
    found = common.load(server.port, "--connections", 64, "--messages", arguments.messages,
                        "--size", arguments.bytes, "--pipelining", "chained")
    assert found["messages"]["acknowledged"] == arguments.messages, found["errors"]
    time.sleep(2.5)  # the primary is known to be down, and its probes have their pace


def drain(side, server, port, arguments):
    with common.Admin(server.daemon) as admin:
        up, before = time.time(), server.cpu()
        sink = common.SmtpSink(port=port) if side == SIDES[1] else common.BackstaySink(port=port)
        try:
            with common.window():
                admin.wait_queued(lambda waiting: waiting == 0, 300)
                end = time.time()
            found = {"cpu_us": (server.cpu() - before) / arguments.messages * 1e6}
            if side == SIDES[1]:
                return found | {"rate": arguments.messages / (end - up)}
            seen = sink.result()
            assert seen["taken"] == arguments.messages, seen
            return found | {"rate": arguments.messages / (seen["last_at"] - up),
                            "steady_rate": seen["rate"], "first_s": seen["first_at"] - up,
                            "duplicates": seen["duplicates"], "damaged": seen["damaged"],
                            "sink_series": seen["series"]}
        finally:
            sink.close()


def system_calls(arguments):
    """A delivered message's; None without perf."""
    with filled(arguments) as (server, port):
        sink = common.BackstaySink(port=port)
        try:
            with common.Admin(server.daemon) as admin:
                admin.wait_queued(lambda left: left < arguments.messages * 3 // 4, 60)
                before = admin.queued()
                calls = common.system_calls(server.pids(), COUNTED_SECONDS)
                gone = before - admin.queued()
            return {"system_calls": calls / gone if calls is not None and gone else None}
        finally:
            sink.close()


def measure(side, arguments):
    if side == SIDES[0]:
        sink = common.SmtpSink()
        try:
            seconds, _ = common.smtp_source(sink.port, arguments.connections, arguments.messages,
                                            arguments.bytes)
            return {"rate": arguments.messages / seconds}
        finally:
            sink.close()
    with filled(arguments) as (server, port):
        return drain(side, server, port, arguments)


def main():
    parser = common.parser("how fast a queue drains, beside smtp-source")
    parser.add_argument("--messages", type=int, default=40000)
    parser.add_argument("--connections", type=int, default=20, help="to the primary")
    parser.add_argument("--bytes", type=int, default=4096)
    arguments = parser.parse_args()
    result = common.Result("drain", arguments)
    runs = common.alternate(SIDES, arguments.rounds, lambda side: measure(side, arguments))
    result.data["runs"] = runs
    calls = common.watched(system_calls, arguments)
    theirs = common.median(runs[SIDES[0]], "rate")
    for goal, side in (("P14 smtp-sink", SIDES[1]), ("P14 backstay-sink", SIDES[2])):
        ours = common.median(runs[side], "rate")
        result.row(goal, f"messages/s, {side}, {arguments.messages:,} of them",
                   common.ratio(ours, theirs), ours=ours, theirs=theirs, unit="/s",
                   baseline=SIDES[0], runs=runs[side] + runs[SIDES[0]],
                   spreads={s: common.spread(runs[s], "rate") for s in (side, SIDES[0])})
    steady = common.median(runs[SIDES[2]], "steady_rate")
    result.row("P14 steady", f"messages/s, {SIDES[2]}, first to last delivery; no goal",
               common.ratio(steady, theirs), ours=steady, theirs=theirs, unit="/s",
               baseline=f"{SIDES[0]}, whole time", runs=runs[SIDES[2]] + runs[SIDES[0]],
               spreads={SIDES[2]: common.spread(runs[SIDES[2]], "steady_rate")})
    first = common.median(runs[SIDES[2]], "first_s")
    result.row("P14 first", "seconds from the primary's start to the first delivery", first,
               unit="s", runs=runs[SIDES[2]],
               spreads={"first": common.spread(runs[SIDES[2]], "first_s")})
    result.row("", "system calls a delivered message, to backstay-sink", calls["system_calls"],
               ours=calls["system_calls"], runs=[calls])
    result.plot(kind="bars", title="Draining: messages/s", unit="/s",
                values={side: common.median(runs[side], "rate") for side in SIDES},
                spreads={side: common.spread(runs[side], "rate") for side in SIDES})
    result.finish()


if __name__ == "__main__":
    main()

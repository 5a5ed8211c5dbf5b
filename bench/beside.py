#!/usr/bin/env python3
# bench/beside.py -- what a drain costs those who send meanwhile: p99 of intake with and without it.
#
# beside.py [--queued 1000000] [--rate 1000] [--primary-takes 10ms] [--seconds 8] [--rounds 3]
#           [--json FILE]
#
# backstay-fill fills a spool. Mail comes at a fixed rate, open loop, while the primary is down; then
# backstay-sink comes up at its port, and while the queue goes out the same mail comes again. Both in
# one life of the daemon; latency counts from the moment a message was due.
import time

import common
from common import harness

CONNECTIONS = 64
SHARDS = 2


def intake(server, arguments):
    return common.measured_load(server, arguments.seconds, "--connections", CONNECTIONS, "--rate",
                                arguments.rate, "--poisson", warm_up=1)


def one_round(arguments):
    port = harness.free_port()
    with common.scratch(arguments.directory) as directory:
        common.fill(directory, arguments.queued, SHARDS, arguments.bytes)
        server = common.Backstay(directory, port, settings={"smtp": {"shards": SHARDS}})
        try:
            with common.Admin(server.daemon) as admin:
                admin.wait_queued(lambda waiting: waiting >= arguments.queued, 60)
            time.sleep(2)
            alone = intake(server, arguments)
            slow = ["--rule", f"end delay {arguments.primary_takes}"]
            sink = common.BackstaySink(*(slow if arguments.primary_takes else []), port=port)
            try:
                time.sleep(3)  # canaries, then the ramp
                begin, before = time.monotonic(), sink.result()["taken"]
                beside = intake(server, arguments)
                seconds, taken = time.monotonic() - begin, sink.result()["taken"] - before
                left = common.queued(server.daemon)
            finally:
                server.close()
                sink.close()
        finally:
            server.close()
    assert left > 0, "the queue was empty before the measurement ended: --queued more"
    return {"drained": taken / seconds,
            "alone_p50": alone["latency_us"]["p50"], "beside_p50": beside["latency_us"]["p50"],
            **{f"{name}_p99": common.percentile(found["latency_us"],
                                                beyond=found["messages"]["lost"])
               for name, found in (("alone", alone), ("beside", beside))},
            "samples": min(alone["latency_us"]["count"], beside["latency_us"]["count"]),
            "parts": {"alone": alone["latency_us"]["parts"], "beside": beside["latency_us"]["parts"]},
            "unsent": alone["unsent"] + beside["unsent"]}


def main():
    parser = common.parser("p99 of intake while a queue drains", seconds=8)
    parser.add_argument("--queued", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--bytes", type=int, default=4096, help="of each queued message")
    parser.add_argument("--primary-takes", metavar="TIME",
                        help="a message's end, as the sink's rules say it: 10ms (default: nothing)")
    arguments = parser.parse_args()
    result = common.Result("beside", arguments)
    rounds = common.alternate(["backstay"], arguments.rounds, lambda _: one_round(arguments))
    rounds = rounds["backstay"]
    result.data["runs"] = rounds
    alone, beside = (common.median(rounds, f"{name}_p99") for name in ("alone", "beside"))
    rate = common.median(rounds, "drained")
    result.row("drain beside", f"p99 of intake at {arguments.rate:,.0f}/s while {rate:,.0f}/s go "
               "out, against none going out", common.ratio(beside, alone), ours=beside,
               theirs=alone, unit="us", baseline="without a drain",
               runs=rounds, samples="samples",
               spreads={"beside": common.spread(rounds, "beside_p99"),
                        "alone": common.spread(rounds, "alone_p99")})
    middle = sorted(rounds, key=lambda found: found["beside_p99"] or 0)[len(rounds) // 2]
    result.plot(kind="percentiles", title="From due to 250, with and without a drain", unit="us",
                series={"backstay, while the queue goes out": middle["parts"]["beside"],
                        "primary down": middle["parts"]["alone"]})
    result.finish()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# bench/generator.py -- backstay-load beside smtp-source, both against smtp-sink: messages a core.
#
# generator.py [--messages 60000] [--connections 100] [--rounds 3] [--bytes 4096] [--json FILE]
#
# A generator that costs more than the server measures itself. What counts is CPU a message of the
# generator (its share of the loopback's work included): the rate a core can make.
import common

WAYS = {"backstay-load": ("--pipelining", "off"),
        "backstay-load, envelope": ("--pipelining", "envelope"),
        "backstay-load, chained": ("--pipelining", "chained")}


def measure(side, arguments):
    sink = common.SmtpSink()
    try:
        messages, connections = arguments.messages, arguments.connections
        before = sink.cpu()
        if side == "smtp-source":
            seconds, cpu = common.smtp_source(sink.port, connections, messages, arguments.bytes)
        else:
            result = common.load(sink.port, "--connections", connections, "--messages", messages,
                                 "--size", arguments.bytes, *WAYS[side])
            assert result["messages"]["acknowledged"] == messages, result["errors"]
            seconds, cpu = result["seconds"], sum(result["cpu_s"].values())
        return {"rate": messages / seconds, "per_core": messages / cpu,
                "cpu_us": cpu / messages * 1e6, "sink_us": (sink.cpu() - before) / messages * 1e6}
    finally:
        sink.close()


def main():
    parser = common.parser("what the generator costs, beside smtp-source")
    parser.add_argument("--messages", type=int, default=60000)
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--bytes", type=int, default=4096)
    arguments = parser.parse_args()
    result = common.Result("generator", arguments)
    sides = ["smtp-source", *WAYS]
    runs = common.alternate(sides, arguments.rounds, lambda side: measure(side, arguments))
    result.data["runs"] = runs
    theirs = common.median(runs["smtp-source"], "per_core")
    for side in WAYS:
        ours = common.median(runs[side], "per_core")
        result.row("generator", f"messages/s a core of the generator: {side}",
                   common.ratio(ours, theirs), ours=ours, theirs=theirs, unit="/s",
                   baseline="smtp-source", runs=runs[side] + runs["smtp-source"],
                   spreads={s: common.spread(runs[s], "per_core") for s in (side, "smtp-source")})
    result.plot(kind="bars", title="CPU of the generator a message", unit="us",
                values={side: common.median(runs[side], "cpu_us") for side in sides},
                spreads={side: common.spread(runs[side], "cpu_us") for side in sides})
    result.finish()


if __name__ == "__main__":
    main()

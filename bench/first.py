#!/usr/bin/env python3
# bench/first.py -- messages a second that are on disk, by smtp-source, beside Postfix.
#
# first.py [--connections 10,100,500] [--messages 20000] [--rounds 3] [--bytes 4096] [--json FILE]
#
# The comparison that anybody can repeat with what a distribution has. Connections are kept open
# (smtp-source -d), the primary is down for both, sides in turn. Postfix gets a tenth of the
# messages, so that its runs take no longer.
import common

SIDES = ("backstay", "postfix")
POSTFIX_SHARE = 10


def measure(side, connections, arguments):
    messages = arguments.messages // (POSTFIX_SHARE if side == "postfix" else 1)
    with common.scratch(arguments.directory) as directory:
        server = (common.Backstay(directory) if side == "backstay"
                  else common.Postfix(directory, processes=connections + 50))
        try:
            common.smtp_source(server.port, connections, max(messages // 10, connections),
                               arguments.bytes)
            before = server.cpu()
            seconds, generator = common.smtp_source(server.port, connections, messages,
                                                    arguments.bytes)
            return {"rate": messages / seconds, "cpu_us": (server.cpu() - before) / messages * 1e6,
                    "generator_us": generator / messages * 1e6}
        finally:
            server.close()


def main():
    parser = common.parser("messages/s that are on disk, by smtp-source, beside Postfix")
    parser.add_argument("--connections", default="10,100,500")
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--bytes", type=int, default=4096)
    arguments = parser.parse_args()
    result = common.Result("first", arguments)
    counts = [int(count) for count in arguments.connections.split(",")]
    names = [f"{side} {count}" for count in counts for side in SIDES]

    def run(name):
        side, count = name.split()
        return measure(side, int(count), arguments)

    runs = common.alternate(names, arguments.rounds, run)
    result.data["runs"] = runs
    for key, what, unit in (("rate", "messages/s on disk", "/s"), ("cpu_us", "CPU a message", "us")):
        for count in counts:
            ours, theirs = (common.median(runs[f"{side} {count}"], key) for side in SIDES)
            result.row("first", f"{what}, {count} connections", common.ratio(ours, theirs),
                       ours=ours, theirs=theirs, unit=unit, baseline="postfix",
                       spreads={side: common.spread(runs[f"{side} {count}"], key)
                                for side in SIDES})
    result.finish()


if __name__ == "__main__":
    main()

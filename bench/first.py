#!/usr/bin/env python3
# bench/first.py -- messages a second on disk, by smtp-source, beside Postfix and smtp-sink.
#
# first.py [--connections 10,100,256,500] [--messages 20000] [--rounds 3] [--bytes 4096]
#          [--sides backstay,postfix,smtp-sink] [--json FILE]
#
# The comparison that anybody can repeat with what a distribution has. Connections are kept open
# (smtp-source -d), the primary of backstay and Postfix is down, sides in turn, each with the same
# number of messages over the same connections: a run of Postfix takes the better part of a minute.
# Behind a tenth of them as a warm-up comes the run that counts, its connecting included:
# smtp-source cannot tell it apart. smtp-sink keeps nothing; beside it, at 256 connections, stands
# the part of P3 that is about smtp-source. Without root Postfix is left out.
import common

SIDES = ("backstay", "postfix", "smtp-sink")
GOAL_CONNECTIONS = 256


def make(side, directory, connections):
    if side == "postfix":
        return common.Postfix(directory, processes=connections + 50)
    return {"backstay": common.Backstay, "smtp-sink": common.SmtpSink}[side](directory)


def measure(side, connections, arguments):
    messages = arguments.messages
    with common.scratch(arguments.directory) as directory:
        server = make(side, directory, connections)
        try:
            server.prepare(connections)
            common.smtp_source(server.port, connections, max(messages // 10, connections),
                               arguments.bytes)
            before = server.cpu()
            seconds, generator = common.smtp_source(server.port, connections, messages,
                                                    arguments.bytes)
            return {"rate": messages / seconds, "cpu_us": (server.cpu() - before) / messages * 1e6,
                    "generator_us": generator / messages * 1e6}
        finally:
            server.close()


def report(result, runs, other, count, measure_of):
    key, what, unit = measure_of
    both = {side: runs.get(f"{side} {count}", []) for side in ("backstay", other)}
    ours, theirs = (common.median(found, key) for found in both.values())
    goal = "P3 smtp-source" if (other, key, count) == ("smtp-sink", "rate", GOAL_CONNECTIONS) \
        else "first"
    result.row(goal, f"{what} by smtp-source, {count} connections", common.ratio(ours, theirs),
               ours=ours, theirs=theirs, unit=unit, baseline=other, runs=sum(both.values(), []),
               spreads={side: common.spread(found, key) for side, found in both.items()})


def main():
    parser = common.parser("messages/s that are on disk, by smtp-source, beside others")
    parser.add_argument("--connections", default="10,100,256,500")
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--bytes", type=int, default=4096)
    arguments = parser.parse_args()
    result = common.Result("first", arguments)
    counts = [int(count) for count in arguments.connections.split(",")]
    sides = common.as_root(arguments.sides.split(","), ("backstay", "smtp-sink"))
    names = [f"{side} {count}" for count in counts for side in sides]

    def run(name):
        side, count = name.split()
        return measure(side, int(count), arguments)

    runs = common.alternate(names, arguments.rounds, run)
    result.data["runs"] = runs
    for key, what, unit in (("rate", "messages/s", "/s"), ("cpu_us", "CPU a message", "us")):
        for count in counts:
            for other in [side for side in sides if side != "backstay"]:
                report(result, runs, other, count, (key, what, unit))
    result.finish()


if __name__ == "__main__":
    main()

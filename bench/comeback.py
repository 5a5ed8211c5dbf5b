#!/usr/bin/env python3
# bench/comeback.py -- a primary that comes back to a long queue: who is asked while it is down, how
# it begins, and what becomes of the queue when the primary is slow, narrow, flapping or emptied.
#
# comeback.py [--messages 100000] [--down 15] [--seconds 40] [--only plain,postfix,...] [--json FILE]
#
# A daemon is filled while its primary is down: something at the primary's port counts who comes and
# hangs up at once. Then a primary of one kind comes up at that port, for at most so many seconds.
# Beside Postfix as primary stands smtp-source, into a fresh Postfix over as many connections; both
# rates are of the whole time, ours from when Postfix listens. The other kinds' rate is from the
# first delivery to the last. What is seen of the queue is as old as a look at it (20 a second at
# most). The goal of the first delivery is that of a plain primary.
import socket
import threading
import time

import common
from common import harness

DOMAIN = "example.com"
FLAP_SECONDS = 30
# Flags of backstay-sink, and how many times --seconds it may take.
KINDS = {
    "plain": ([], 1),
    "postfix": (None, 1),
    "421 beyond 5": (["--max-connections", "5"], 1),
    "2 s a message": (["--rule", "end delay 2s"], 1),
    "flapping": (["--rule", "end delay 20ms", "--outage",
                  f"{FLAP_SECONDS}s {2 * FLAP_SECONDS}s every {2 * FLAP_SECONDS}s"], 5),
    "emptied": (["--rule", "rcpt 550 5.1.1 no such user"], 1),
}


class Doorbell:
    """A primary that is down and counts who asks: it hangs up without a word."""

    def __init__(self, port):
        self.rings = 0
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(1000)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                self.listener.accept()[0].close()
            except OSError:
                return
            self.rings += 1

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


class Case:
    """A daemon with a queue, and its primary's port."""

    def __init__(self, directory, arguments):
        self.arguments = arguments
        self.port = harness.free_port()
        self.bell = Doorbell(self.port)
        self.server = common.Backstay(directory, self.port, settings={
            "delivery": {"max_connections_per_primary": arguments.connections}})
        self.directory = directory
        self.admin = common.Admin(self.server.daemon)

    def fill(self):
        arguments = self.arguments
        found = common.load(self.server.port, "--connections", 64, "--messages",
                            arguments.messages, "--size", arguments.bytes, "--mailboxes",
                            arguments.messages, "--pipelining", "chained")
        assert found["messages"]["acknowledged"] == arguments.messages, found["errors"]
        harness.wait_until(lambda: self.primary()["state"] == "down", 60, "the primary is down")

    def primary(self):
        return next(row for row in self.admin.ask("primaries") if row["domain"] == DOMAIN)

    def while_down(self):
        time.sleep(2)  # the outage is known, and its probes have their pace
        rings, cpu, begin = self.bell.rings, self.server.cpu(), time.monotonic()
        with common.window():
            time.sleep(self.arguments.down)
        seconds = time.monotonic() - begin
        return {"asked": self.bell.rings - rings, "down_s": seconds,
                "down_core": (self.server.cpu() - cpu) / seconds}

    def come_up(self, flags):
        self.bell.close()
        return common.BackstaySink(*flags, port=self.port, directory=self.directory)

    def watch(self, seconds):
        """Until nothing waits, or everything is held; the states on the way."""
        states, row, end = [], {}, time.monotonic() + seconds
        with common.window():
            while time.monotonic() < end:
                row = self.primary()
                if not states or states[-1] != row["state"]:
                    states.append(row["state"])
                if row["queued"] == 0 or row["state"] == "held":
                    break
                time.sleep(common.POLL_SECONDS)
        return states, row

    def close(self):
        if self.bell.thread.is_alive():
            self.bell.close()
        self.admin.close()
        self.server.close()


def outcome(case, sink, up, states, row):
    seen = sink.result()
    account = row["ledger"]
    return {"taken": seen["taken"], "rate": seen["rate"],
            "first_s": seen["first_at"] - up if seen["taken"] else None,
            "duplicates": seen["duplicates"], "damaged": seen["damaged"],
            "connections": seen["connections"], "connections_most": seen["connections_most"],
            "refusals": seen["refusals"], "queued": row["queued"], "states": states,
            "bounced": account["bounced"], "series": seen["series"]}


def with_sink(kind, case):
    flags, times = KINDS[kind]
    up = time.time()
    sink = case.come_up(flags)
    try:
        states, row = case.watch(times * case.arguments.seconds)
        found = outcome(case, sink, up, states, row)
    finally:
        sink.close()
    return released(case, found) if row["state"] == "held" else found


def released(case, found):
    """The operator has put it right: a primary that takes everything, and his release."""
    sink, up = common.BackstaySink(port=case.port, directory=case.directory), time.time()
    try:
        case.admin.ask("start", domains=[DOMAIN])
        states, row = case.watch(case.arguments.seconds)
        return outcome(case, sink, up, found["states"] + states, row) | \
            {"refusals": found["refusals"], "taken_before": found["taken"]}
    finally:
        sink.close()


def with_postfix(case):
    """Ours is what has left the queue; then its own colleague's client, into another Postfix."""
    arguments = case.arguments
    case.bell.close()
    up, primary = time.monotonic(), common.Postfix(case.directory, port=case.port)
    listens = time.monotonic()
    try:
        case.admin.wait_queued(lambda waiting: waiting < arguments.messages, 60)
        first = time.monotonic() - up
        states, row = case.watch(arguments.seconds)
        taken, seconds = arguments.messages - row["queued"], time.monotonic() - listens
    finally:
        primary.close()
    case.server.close()
    count = int(taken / 4) + 1
    with common.scratch(arguments.directory) as directory:
        fresh = common.Postfix(directory)
        try:
            source, _ = common.smtp_source(fresh.port, arguments.connections, count,
                                           arguments.bytes)
        finally:
            fresh.close()
    return {"taken": taken, "rate": taken / seconds, "first_s": first, "states": states,
            "queued": row["queued"], "bounced": row["ledger"]["bounced"],
            "source_rate": count / source}


def measure(kind, arguments):
    with common.scratch(arguments.directory) as directory:
        case = Case(directory, arguments)
        try:
            case.fill()
            found = case.while_down()
            return found | (with_postfix(case) if kind == "postfix" else with_sink(kind, case))
        finally:
            case.close()


def add_rows(result, kind, runs):
    def middle(key):
        return common.median(runs, key)
    last = runs[-1]
    result.row("", f"{kind}: connections a minute to a primary that is down",
               60 * middle("asked") / middle("down_s"), unit="/min", runs=runs)
    result.row("P14 first" if kind == "plain" else "",
               f"{kind}: s from its start (or the release) to the first delivery",
               middle("first_s"), unit="s", runs=runs,
               spreads={"first": common.spread(runs, "first_s")})
    theirs = middle("source_rate")
    seen = "" if "refusals" not in last else \
        (f", {last['duplicates']} twice, {last['connections']} connections, "
         f"{last['connections_most']} at once, refused: {last['refusals'] or 'none'}")
    result.row("", f"{kind}: messages/s ({' '.join(last['states'])}; {last['queued']:,} left, "
               f"{last['bounced']} bounced{seen})",
               common.ratio(middle("rate"), theirs), ours=middle("rate"), theirs=theirs, unit="/s",
               baseline="smtp-source" if theirs else "", runs=runs)


def main():
    parser = common.parser("a primary that comes back to a long queue", seconds=40, rounds=1)
    parser.add_argument("--messages", type=int, default=100000)
    parser.add_argument("--bytes", type=int, default=4096)
    parser.add_argument("--connections", type=int, default=20, help="to the primary")
    parser.add_argument("--down", type=float, default=15, help="seconds of counting who asks")
    parser.add_argument("--only", default=",".join(KINDS))
    arguments = parser.parse_args()
    result = common.Result("comeback", arguments)
    kinds = common.as_root(arguments.only.split(","), [kind for kind in KINDS if kind != "postfix"])
    runs = common.alternate(kinds, arguments.rounds, lambda kind: measure(kind, arguments))
    result.data["runs"] = runs
    for kind in kinds:
        add_rows(result, kind, runs[kind])
        if "series" in runs[kind][-1]:
            result.plot(kind="lines", title=f"Deliveries each second, primary {kind}",
                        unit="/s", series={"taken": runs[kind][-1]["series"]})
    result.finish()


if __name__ == "__main__":
    main()

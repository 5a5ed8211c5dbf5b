#!/usr/bin/env python3
# bench/commit.py -- what one commit costs the disk: P5, P6, P7 and P17 of the goals, beside fio.
#
# commit.py [--seconds 6] [--rounds 3] [--directory DIR] [--json FILE]
#
# fio writes blocks over a file that was written before and syncs each (fdatasync); the goals speak of
# that. Beside it stands what it does to a file that was only allocated, which is what a segment of a
# growing spool is. backstay takes mail from backstay-load with its primary down. Both on the same
# disk, in turn. Without fio (package fio) only our side is printed. Bytes are those the daemon gave
# to the block layer (/proc/PID/io), flushes those of the whole device; where it counts none, P5
# (fio's blocks are what we write between two flushes) and P6 are not judged. What one connection
# waits for smtp-sink, which stores nothing, is the part of the wait that is not the commit.
import os
import smtplib
import socket
import statistics
import sys
import time

import common

SINGLE_MESSAGES = 1500
LARGE = 65536  # P5 and P17 speak of such messages, and fio's blocks are never smaller


def written(pid):
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("write_bytes"))


class Server:
    def __init__(self, directory):
        self.device = common.device_of(directory)
        self.backstay = common.Backstay(directory)
        self.pid = self.backstay.pids()[0]

    def flood(self, connections, size, seconds):
        """Rate, bytes and flushes of a run of so long, behind a warm-up."""
        flags = ("--connections", connections, "--size", size)
        common.load(self.backstay.port, *flags, "--messages", 2 * connections)
        before = written(self.pid), common.flushes(self.device)
        result = common.load(self.backstay.port, *flags, "--duration", f"{seconds}s")
        time.sleep(0.3)  # the last sync, and the commit record behind it
        messages = result["messages"]["acknowledged"]
        out = written(self.pid) - before[0]
        flushed = common.flushes(self.device) - before[1] if self.device else 0
        return {"rate": result["rate"], "bytes_per_second": out / max(1e-3, result["seconds"]),
                "bytes_per_message_byte": out / (max(1, messages) * size),
                "flushes_per_1000": 1000 * flushed / max(1, messages) if flushed else None,
                "bytes_per_flush": out / flushed if flushed else None}


def single(port):
    """One connection, one message after the other: from the end of data to the 250, in us."""
    times = []
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.ehlo("bench.example")
        for number in range(SINGLE_MESSAGES):
            client.docmd("MAIL", "FROM:<a@bench.example>")
            client.docmd("RCPT", "TO:<b@example.com>")
            client.docmd("DATA")
            client.send(f"Subject: {number}\r\n\r\n" + "x" * 70 + "\r\n")
            begin = time.perf_counter()
            client.send(".\r\n")
            code, _ = client.getreply()
            times.append((time.perf_counter() - begin) * 1e6)
            assert code == 250, code
    return statistics.median(times[100:])


def single_sink():
    sink = common.SmtpSink()
    try:
        return single(sink.port)
    finally:
        sink.close()


def one_round(arguments):
    with common.scratch(arguments.directory) as directory:
        server = Server(directory)
        try:
            large = server.flood(64, LARGE, arguments.seconds)
            small = server.flood(256, 4096, arguments.seconds)
            with common.window():
                waited, sink = single(server.backstay.port), single_sink()
            block = max(LARGE, int(large["bytes_per_flush"] or 0) // 4096 * 4096)
            return {"large": large, "small": small, "single_us": waited, "block": block,
                    "sink_us": sink,
                    "fio_large": common.fio(directory, arguments.seconds, block),
                    "fio_large_new": common.fio(directory, arguments.seconds, block, False),
                    "fio_single": common.fio(directory, arguments.seconds),
                    "fio_single_new": common.fio(directory, arguments.seconds, 4096, False)}
        finally:
            server.backstay.close()


def values(rounds, *path):
    found = []
    for value in rounds:
        for key in path:
            value = value[key] if value is not None else None
        found.append(value)
    return [value for value in found if value is not None]


def middle(rounds, *path):
    found = values(rounds, *path)
    return statistics.median(found) if found else None


def report(result, rounds, uncounted):
    """`uncounted`: why flushes are not."""
    counted = [values(rounds, size, "flushes_per_1000") for size in ("large", "small")]
    if not uncounted and min(map(len, counted)) < len(rounds):
        uncounted = "no flush was counted"
    reasons = {"P5": uncounted and f"{uncounted}; fio's blocks are a guess", "P6": uncounted}

    def add(goal, what, path, theirs=None, baseline="", unit=""):
        ours, floor = middle(rounds, *path), middle(rounds, *theirs) if theirs else None
        found = values(rounds, *path)
        lacking = common.lacks("fio") if baseline == "fio" else None
        result.row(goal, what, common.ratio(ours, floor) if theirs else ours, ours=ours,
                   theirs=floor, unit=unit, baseline=baseline, runs=rounds,
                   unjudged=lacking or reasons.get(goal.split()[0]),
                   spreads={"backstay": [min(found), max(found)] if found else None})

    add("P5", f"64 KiB messages, bytes/s; fio with blocks of {rounds[0]['block']} bytes",
        ("large", "bytes_per_second"), ("fio_large", "bytes_per_second"), "fio", "B/s")
    add("P5 allocated", "the same; fio on a file that was only allocated",
        ("large", "bytes_per_second"), ("fio_large_new", "bytes_per_second"), "fio", "B/s")
    add("P6", "flushes per 1,000 messages of 4 KiB, 256 connections", ("small", "flushes_per_1000"))
    add("P7", "one connection, end of data to 250; fio: write and fdatasync of 4 KiB",
        ("single_us",), ("fio_single", "median_us"), "fio", "us")
    add("P7 allocated", "the same; fio on a file that was only allocated",
        ("single_us",), ("fio_single_new", "median_us"), "fio", "us")
    add("P7 rest", "the same; smtp-sink, which has no commit", ("single_us",), ("sink_us",),
        "smtp-sink", "us")
    add("P17 64 KiB", "bytes to the device per message byte", ("large", "bytes_per_message_byte"))
    add("P17 4 KiB", "bytes to the device per message byte", ("small", "bytes_per_message_byte"))


def main():
    arguments = common.parser("what one commit costs the disk, beside fio", seconds=6).parse_args()
    result = common.Result("commit", arguments)
    uncounted = common.no_flushes(arguments.directory)
    rounds = []
    for number in range(arguments.rounds):
        rounds.append(common.watched(one_round, arguments))
        print(f"round {number + 1}: {rounds[-1]}", file=sys.stderr)
    result.data["runs"] = rounds
    report(result, rounds, uncounted)
    result.finish()


if __name__ == "__main__":
    main()

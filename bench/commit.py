#!/usr/bin/env python3
# bench/commit.py -- what one commit costs the disk: P5, P6, P7 and P17 of the goals, beside fio.
#
# commit.py [--seconds 6] [--rounds 3] [--directory DIR] [--json FILE]
#
# fio writes blocks over a file that was written before and syncs each (fdatasync); backstay takes
# mail from smtp-source with its primary down. Both on the same disk, in turn. Without fio (package
# fio) only our side is printed. Bytes are those the daemon gave to the block layer (/proc/PID/io),
# flushes those of the whole device.
import argparse
import json
import os
import shutil
import smtplib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import saturate  # noqa: E402
from saturate import harness  # noqa: E402

SINGLE_MESSAGES = 1500
FIO_FILE = "256m"


def device_of(directory):
    """The folder of the disk in /sys/dev/block, of a partition's parent."""
    number = os.stat(directory).st_dev
    path = os.path.realpath(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    return path if os.path.exists(os.path.join(path, "queue")) else os.path.dirname(path)


def flushes(device):
    with open(os.path.join(device, "stat"), encoding="ascii") as file:
        return int(file.read().split()[15])


def written(pid):
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("write_bytes"))


def fio(directory, block, seconds):
    """Overwrite and fdatasync of blocks of this size: bytes/s, and the median of one in us."""
    if not shutil.which("fio"):
        return None
    out = subprocess.run(
        ["fio", "--name=commit", f"--directory={directory}", "--rw=write", f"--bs={block}",
         f"--size={FIO_FILE}", "--overwrite=1", "--fdatasync=1", "--ioengine=psync",
         "--time_based", f"--runtime={seconds}", "--output-format=json"],
        capture_output=True, text=True, check=True).stdout
    job = json.loads(out[out.index("{"):])["jobs"][0]
    sync = job["sync"]["lat_ns"]["percentile"]["50.000000"]
    write = job["write"]["clat_ns"]["percentile"]["50.000000"]
    return {"bytes_per_second": job["write"]["bw_bytes"], "median_us": (sync + write) / 1000}


class Server:
    def __init__(self, arguments):
        self.directory = tempfile.mkdtemp(prefix="backstay-bench-", dir=arguments.directory)
        self.device = device_of(self.directory)
        self.backstay = saturate.Backstay(self.directory, 0, arguments)
        self.pid = self.backstay.daemon.process.pid

    def flood(self, connections, size, seconds):
        """Rate, bytes and flushes of a run of about so long, behind a warm-up."""
        trial = saturate.send(self.backstay.port, connections, 600, size)
        messages = int(600 / trial * seconds)
        before = written(self.pid), flushes(self.device)
        took = saturate.send(self.backstay.port, connections, messages, size)
        time.sleep(0.3)  # the last sync, and the commit record behind it
        out = written(self.pid) - before[0]
        flushed = flushes(self.device) - before[1]
        return {"rate": messages / took, "bytes_per_second": out / took,
                "bytes_per_message_byte": out / (messages * size),
                "flushes_per_1000": 1000 * flushed / messages,
                "bytes_per_flush": out / max(flushed, 1)}

    def single(self):
        """One connection, one message after the other: from the end of data to the 250, in us."""
        times = []
        with smtplib.SMTP("127.0.0.1", self.backstay.port) as client:
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

    def close(self):
        self.backstay.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def one_round(arguments):
    server = Server(arguments)
    try:
        large = server.flood(64, 65536, arguments.seconds)
        small = server.flood(256, 4096, arguments.seconds)
        single = server.single()
        block = max(65536, int(large["bytes_per_flush"]) // 4096 * 4096)
        return {"large": large, "small": small, "single_us": single, "block": block,
                "fio_large": fio(server.directory, block, arguments.seconds),
                "fio_single": fio(server.directory, 4096, arguments.seconds)}
    finally:
        server.close()


def median(rounds, *path):
    values = []
    for value in rounds:
        for key in path:
            value = value[key] if value is not None else None
        values.append(value)
    return None if None in values else statistics.median(values)


def row(goal, what, ours, theirs, ratio, unit):
    def text(value):
        return "" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"
    print(f"| {goal} | {what} | {text(ours)} {unit} | {text(theirs)} | {text(ratio)} |")


def report(rounds):
    ours, theirs = median(rounds, "large", "bytes_per_second"), median(
        rounds, "fio_large", "bytes_per_second")
    print("| goal | what | backstay | fio | ratio |\n|---|---|---|---|---|")
    row("P5 0.85", f"64 KiB messages; fio with blocks of {rounds[0]['block']} bytes", ours, theirs,
        ours / theirs if theirs else None, "B/s")
    row("P6 10", "flushes per 1,000 messages of 4 KiB, 256 connections",
        median(rounds, "small", "flushes_per_1000"), None, None, "")
    ours, theirs = median(rounds, "single_us"), median(rounds, "fio_single", "median_us")
    row("P7 1.25", "one connection, end of data to 250; fio: write and fdatasync of 4 KiB", ours,
        theirs, ours / theirs if theirs else None, "us")
    row("P17 1.03", "bytes to the device per message byte, 64 KiB",
        median(rounds, "large", "bytes_per_message_byte"), None, None, "")
    row("P17 1.15", "the same, 4 KiB", median(rounds, "small", "bytes_per_message_byte"), None,
        None, "")


def main():
    parser = argparse.ArgumentParser(description="what one commit costs the disk, beside fio")
    parser.add_argument("--seconds", type=float, default=6, help="of each measured run, about")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", help="on the disk to measure (default: /tmp)")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    if not shutil.which("fio"):
        print("no fio: only our side (apt-get install fio)", file=sys.stderr)
    about = saturate.machine()
    print("machine:", ", ".join(f"{key} {value}" for key, value in about.items()))
    rounds = []
    for number in range(arguments.rounds):
        rounds.append(one_round(arguments))
        print(f"round {number + 1}: {json.dumps(rounds[-1])}", file=sys.stderr)
    report(rounds)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"machine": about, "rounds": rounds}, file, indent=1)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# tests/system/starved_test.py -- a daemon that is stopped again and again, under every kind of load.
#
# What a machine without a free core does to it, only worse: it stands still for up to a second while
# clients, primary, signals and the operator go on, so whatever has a bound meets it: buffers, the
# log, deadlines, backlogs. It must live, and nothing that was acknowledged may be lost.
# BACKSTAY_STARVED_SECONDS=300 tests/system/starved_test.py is the long form.
import os
import random
import signal
import subprocess
import sys
import threading
import time
import unittest

import harness
import tls_peers
import wire

sys.path.insert(0, os.path.join(harness.TOP, "bench"))
import audit   # noqa: E402
import common  # noqa: E402

SECONDS = float(os.environ.get("BACKSTAY_STARVED_SECONDS", "8"))
SEED = int(os.environ.get("BACKSTAY_STARVED_SEED", time.time_ns() % 1_000_000))

# Flags of backstay-load; each runs for some seconds, three at a time.
LOADS = (
    ("--connections", 1500, "--per-connection", 1, "--rate", 3000),
    ("--connections", 300, "--pipelining", "chained", "--size", "4KiB"),
    ("--connections", 64, "--tls", "--size", "1KiB-64KiB", "--per-connection", 5),
    ("--connections", 16, "--size", "200KiB:5,3MiB:1", "--recipients", 3),
    ("--connections", 100, "--pipelining", "off", "--recipients", 40, "--cut", 20),
    ("--connections", 50, "--slow-drip", 100, "--no-read", 50, "--idle", 300),
    ("--connections", 200, "--greet-only", "--tls"),
    ("--connections", 500, "--sources", 500, "--per-connection", 2, "--size", "512"),
)
ORDERS = (("status", "--json"), ("queue", "list"), ("primary", "list"), ("queue", "flush"),
          ("queue", "reset", "--all", "--yes"), ("queue", "hold", "--all", "--yes"),
          ("queue", "release", "--all", "--yes"))


class Starved(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.draw = random.Random(SEED)
        self.over = threading.Event()
        certificate = tls_peers.Certificate(self.directory, "ecdsa")
        self.sink = self.managed(common.BackstaySink(
            "--outage", "1s 2s every 4s", "--max-connections", "10", "--rule",
            "rcpt 5% 450 4.2.1 later", "--rule", "end 1% cut", "--seed", str(SEED),
            directory=self.directory))
        self.backstay = self.daemon(self.sink.port, {
            "tls": certificate.settings(),
            "log": {"file": os.path.join(self.directory, "mail.log")},
            "smtp": {"max_connections": 2000, "max_connections_per_client": 2000}}).start()
        self.ledgers = []

    def load(self, number):
        """One kind of load after the other, until it is over."""
        draw = random.Random(SEED + number)
        count = 0
        while not self.over.is_set():
            count += 1
            ledger = os.path.join(self.directory, f"load-{number}-{count}.ledger")
            flags = draw.choice(LOADS)
            if "--greet-only" not in flags:
                self.ledgers.append(ledger)
                flags += ("--ledger", ledger)
            subprocess.run(common.load_command(self.backstay.port, "--duration", "2s", "--timeout",
                                               "5s", "--seed", draw.randrange(1000), *flags),
                           capture_output=True, timeout=120, stdin=subprocess.DEVNULL, check=False)

    def order(self):
        while not self.over.is_set():
            self.command(*self.draw.choice(ORDERS))
            self.signal(signal.SIGHUP)

    def command(self, *arguments):
        return subprocess.run([harness.binary("backstay"), "--endpoint",
                               self.backstay.settings["admin"]["socket"], *arguments],
                              capture_output=True, timeout=120, stdin=subprocess.DEVNULL,
                              check=False)

    def signal(self, number):
        if self.backstay.process.poll() is None:
            self.backstay.process.send_signal(number)

    def starve(self, seconds):
        draw = random.Random(SEED)
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.backstay.process.poll() is None:
            self.signal(signal.SIGSTOP)
            time.sleep(draw.choice((0.01, 0.05, 0.2, 1)))
            self.signal(signal.SIGCONT)
            time.sleep(draw.choice((0.001, 0.01, 0.05, 0.3)))

    def acknowledged(self):
        lines = set()
        for ledger in self.ledgers:
            if os.path.exists(ledger):
                lines |= set(audit.read_ledger(ledger))
        return lines

    def test_it_lives_and_loses_nothing(self):
        print(f"BACKSTAY_STARVED_SEED={SEED}", flush=True)
        threads = [threading.Thread(target=self.load, args=(number,)) for number in range(3)]
        threads.append(threading.Thread(target=self.order))
        for thread in threads:
            thread.start()
        try:
            self.starve(SECONDS)
        finally:
            self.signal(signal.SIGCONT)
            self.over.set()
            for thread in threads:
                thread.join()
        self.assertIsNone(self.backstay.process.poll(), self.backstay.log()[-4000:])
        self.drain()

    def drain(self):
        acknowledged = self.acknowledged()
        self.assertGreater(len(acknowledged), 100)
        self.command("queue", "release", "--all", "--yes")
        # How much there is depends on the machine; that it goes on does not.
        missing, last = acknowledged, time.monotonic()
        end = last + 180 + SECONDS
        while missing and time.monotonic() < min(end, last + 30):
            self.command("queue", "reset", "--all", "--yes")
            time.sleep(1)
            self.sink.result()  # writes its ledger
            still = acknowledged - set(audit.read_ledger(self.sink.ledger))
            last = last if len(still) == len(missing) else time.monotonic()
            missing = still
        if missing:
            self.fail(f"{len(missing)} of {len(acknowledged)} missing: {sorted(missing)[:5]}, "
                      f"{self.command('status').stdout}")
        seen = self.sink.close()
        self.assertEqual((seen["damaged"], seen["violations"]), (0, 0), seen)
        print(f"{len(acknowledged)} recipients acknowledged, all delivered", flush=True)


class Overslept(harness.SystemTest):
    """A daemon that stands still for longer than its clients may be silent."""

    def test_whoever_spoke_meanwhile_was_not_silent(self):
        backstay = self.daemon(9, {"smtp": {"shards": 1, "idle_timeout": "6s"}}).start()
        clients = [self.managed(wire.Wire(backstay.port)) for _ in range(300)]
        for client in clients:
            client.hello()
        backstay.process.send_signal(signal.SIGSTOP)
        try:
            for client in clients:
                client.send(b"NOOP\r\n")
            time.sleep(8)
        finally:
            backstay.process.send_signal(signal.SIGCONT)
        replies = [client.reply() for client in clients]
        self.assertEqual({reply[:3] for reply in replies}, {b"250"})
        for client in clients[:3]:  # and whoever is silent is told so
            self.assertRegex(client.rest(15), rb"^421 4\.4\.2 ")


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# tests/system/kill_test.py -- SIGKILL at random moments under load: nothing acknowledged is lost.
#
# BACKSTAY_KILLS (default 30) kills; BACKSTAY_SEED repeats the moments of an earlier run, as far as
# a kernel lets itself be repeated. The primary goes down and up meanwhile.
import collections
import os
import random
import re
import time
import unittest

import harness
import loader
import sinks

KILLS = int(os.environ.get("BACKSTAY_KILLS", "30"))
SEED = int(os.environ.get("BACKSTAY_SEED", str(time.time_ns() % 1000000)))
CONNECTIONS = 24
PRIMARY_CONNECTIONS = 20
# A delivery is in flight until its settle is on disk, which is a sync later: a second delivery must
# be of a message that was delivered at most this long before the kill.
IN_FLIGHT_SECONDS = 1
# What lay in the sink's sockets at the moment of a kill is noted down up to this much later.
SINK_SECONDS = 0.25
TEXT = random.Random(1).randbytes(300000).hex().encode()
LINES = b"\r\n".join(TEXT[at:at + 70] for at in range(0, len(TEXT), 70)) + b"\r\n"


def make(number):
    """Mostly small, some of several receive buffers, a few that are stored in parts."""
    draw = random.Random(number)
    size = draw.choices([draw.randrange(0, 4000), 40000, 500000], [96, 3.6, 0.4])[0]
    start = draw.randrange(0, 1000) * 72
    head = b"Subject: number %d\r\nX-Bytes: %d\r\n\r\n" % (number, size)
    return loader.Outgoing(f"sender-{number}@load.test", [f"n{number}@example.com"],
                           head + LINES[start:start + size // 72 * 72] + b".dot\r\n")


class Kill(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.sink = self.managed(sinks.RecordingSink())
        self.backstay = self.daemon(self.sink.port, {
            "delivery": {"max_connections_per_primary": PRIMARY_CONNECTIONS}})
        self.up = False
        self.kills = []
        self.events = []

    def toggle_primary(self):
        if self.random.random() < 0.5:
            self.sink.down() if self.up else self.sink.up()
            self.up = not self.up
            self.events.append((time.monotonic(), "primary up" if self.up else "primary down"))

    def kill_once(self):
        time.sleep(self.random.uniform(0.01, 0.4))
        self.toggle_primary()
        time.sleep(self.random.uniform(0.01, 0.3))
        self.backstay.kill()
        self.kills.append(time.monotonic())

    def test_killed_under_load(self):
        print(f"seed {SEED}")
        self.backstay.start()
        load = loader.Load(self.backstay.port, CONNECTIONS, make, pause=0.01).start()
        while len(self.kills) < KILLS:
            self.kill_once()
            if self.random.random() < 0.2 and len(self.kills) < KILLS:  # while it recovers
                self.backstay.start(wait=False)
                time.sleep(self.random.uniform(0, 0.05))
                self.backstay.kill()
                self.kills.append(time.monotonic())
            self.backstay.start()
        load.stop()
        self.assertEqual(load.errors, [])
        if not self.up:
            self.sink.up()
        self.check_everything_arrives(load)
        self.check_nothing_altered(load)
        self.check_duplicates()
        self.check_spool_is_empty()

    def check_everything_arrives(self, load):
        print(f"{len(self.kills)} kills; {load.summary()}")
        self.assertGreater(len(load.acknowledged), 10 * KILLS)
        waiting = set(load.acknowledged)
        seen = 0

        def missing():
            nonlocal seen
            for message in self.sink.messages[seen:]:
                waiting.discard(number_of(message))
                seen += 1
            return waiting
        harness.wait_until(lambda: not missing(), 90, lambda: (
            f"{len(waiting)} acknowledged messages are lost: " +
            ", ".join(f"{n} {load.acknowledged[n]}" for n in sorted(waiting)[:20])))

    def check_nothing_altered(self, load):
        self.assertEqual(self.sink.violations, [])
        ids = list(load.acknowledged.values())
        self.assertEqual(len(ids), len(set(ids)), "a queue id was used twice")
        for message in self.sink.messages:
            number = number_of(message)
            self.assertEqual(message.sender, f"sender-{number}@load.test")
            self.assert_relayed(message.content, make(number).content,
                                load.acknowledged.get(number))

    def check_duplicates(self):
        """A second delivery is explained by a kill between the two; it counts against that kill."""
        deliveries = collections.defaultdict(list)
        for message in self.sink.messages:
            deliveries[number_of(message)].append(message.at)
        per_kill = collections.Counter()
        oldest = 0.0
        for number, times in deliveries.items():
            for first, second in zip(times, times[1:]):
                kill = next((k for k in self.kills if first <= k + SINK_SECONDS), None)
                self.assertTrue(kill and kill <= second, self.story(number, times))
                per_kill[kill] += 1
                oldest = max(oldest, kill - first)
        print(f"{len(deliveries)} messages arrived, {sum(per_kill.values())} duplicates after "
              f"{len(per_kill)} of {len(self.kills)} kills, at most "
              f"{max(per_kill.values(), default=0)} after one, delivered at most "
              f"{oldest * 1000:.0f} ms before it; at most {self.sink.connections_most} "
              "connections to the primary")
        self.assertLess(oldest, IN_FLIGHT_SECONDS)
        self.assertLessEqual(sum(per_kill.values()), PRIMARY_CONNECTIONS * len(self.kills))
        self.assertLessEqual(self.sink.connections_most, PRIMARY_CONNECTIONS)

    def story(self, number, times):
        """Why a second delivery has no kill before it: what happened around it."""
        happened = self.events + [(k, "kill") for k in self.kills]
        near = sorted([e for e in happened if times[0] - 1 < e[0] < times[-1] + 1] +
                      [(t, "delivery") for t in times])
        return f"{number} was delivered twice without a kill between: " + ", ".join(
            f"{what} at {(at - times[0]) * 1000:.1f} ms" for at, what in near)

    def check_spool_is_empty(self):
        time.sleep(0.5)
        self.assertEqual(self.backstay.stop(), 0)
        count = len(self.sink.messages)
        self.backstay.start()
        time.sleep(2)
        self.assertEqual(len(self.sink.messages), count, "settled mail was delivered again")


def number_of(message):
    return int(re.fullmatch(r"n(\d+)@example\.com", message.recipients[0])[1])


if __name__ == "__main__":
    unittest.main(verbosity=2)

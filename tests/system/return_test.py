#!/usr/bin/env python3
# tests/system/return_test.py -- primaries that come back busy, slow, flapping or emptied.
import json
import subprocess
import threading
import time
import unittest

import harness
import sinks
import wire


class Return(harness.SystemTest):
    """A primary that is down while mail for it is taken."""

    def setUp(self):
        super().setUp()
        self.sink = self.managed(sinks.RecordingSink(keep=len))
        self.daemon_ = self.daemon(self.sink.port, {
            "smtp": {"shards": 2}, "spool": {"segment_size": "16MiB"}})
        self.daemon_.settings["domain"] = [
            {"name": "example.com", "primary": [f"127.0.0.1:{self.sink.port}"]}]
        self.daemon_.write_config()
        self.endpoint = self.daemon_.settings["admin"]["socket"]
        self.daemon_.start()

    def send(self, count, name=b"u"):
        """Each from its own sender to its own recipient."""
        per_connection = 50
        for first in range(0, count, per_connection):
            with wire.Wire(self.daemon_.port) as client:
                client.hello()
                for i in range(first, min(first + per_connection, count)):
                    for line in (b"MAIL FROM:<s%d@sender.test>" % i,
                                 b"RCPT TO:<%s%d@example.com>" % (name, i), b"DATA"):
                        reply = client.command(line)
                        self.assertIn(reply[:1], b"23", reply)
                    client.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
                    self.assertEqual(client.reply()[:3], b"250")

    def backstay(self, *arguments):
        done = subprocess.run([harness.binary("backstay"), "--endpoint", self.endpoint, *arguments],
                              capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                              check=False)
        self.assertEqual(done.returncode, 0, (arguments, done))
        return done.stdout

    def primary(self):
        return json.loads(self.backstay("primary", "show", "example.com", "--json"))

    def wait_state(self, state, seconds=20):
        harness.wait_until(lambda: self.primary()["state"] == state, seconds,
                           lambda: f"{state}: {self.primary()}")

    def wait_empty(self, seconds):
        harness.wait_until(lambda: self.primary()["queued"] == 0, seconds,
                           lambda: f"an empty queue: {self.primary()}")

    def test_emptied_it_is_held_and_nothing_bounces_until_it_is_repaired(self):
        self.send(300)
        self.wait_state("down")
        self.sink.script = lambda verb, *_: b"550 5.1.1 no such user" if verb == "RCPT" else None
        self.sink.up()
        self.wait_state("held")
        row = self.primary()
        self.assertEqual((row["reason"], row["queued"]), ("breaker", 300))
        self.assertIn("backstay primary release example.com", self.daemon_.log())
        asked = self.sink.commands["RCPT"]
        self.assertLess(asked, 80)  # of 300: twenty, and what was under way on any connection
        self.send(5, b"later")
        self.daemon_.kill()  # what holds it is on disk
        self.daemon_.start()
        time.sleep(2)
        row = self.primary()
        self.assertEqual((row["state"], row["queued"], row["held"]), ("held", 305, 305))
        self.assertEqual(self.sink.commands["RCPT"], asked)
        self.sink.script = None
        self.backstay("primary", "release", "example.com")
        self.sink.wait_for(305, 60)
        self.wait_empty(10)
        self.assertEqual(len({tuple(m.recipients) for m in self.sink.messages}), 305)
        self.assertEqual(self.primary()["state"], "up")

    def test_what_was_down_is_asked_first_after_a_restart(self):
        self.send(20)
        self.wait_state("down")
        time.sleep(4)  # it is written a little later
        (outage,) = self.primary()["outages"]
        self.assertIsNone(outage["until"])
        self.daemon_.stop()
        self.daemon_.start()
        row = self.primary()
        self.assertEqual((row["state"], row["outages"]), ("down", [outage]))
        self.sink.up()
        self.sink.wait_for(20, 20)
        self.wait_state("up")
        self.assertRegex(self.daemon_.log(), r"primary 127\.0\.0\.1:\d+ is back\n")
        (after,) = self.primary()["outages"]
        self.assertEqual(after["since"], outage["since"])
        self.assertGreater(after["until"], after["since"])
        self.assertIn(b"down     ", self.backstay("primary", "show", "example.com"))

    def test_refusals_may_be_accepted(self):
        self.send(60)
        self.sink.script = lambda verb, *_: b"550 5.1.1 no such user" if verb == "RCPT" else None
        self.sink.up()
        self.wait_state("held")
        self.assertEqual(self.primary()["queued"], 60)
        self.backstay("primary", "release", "--accept-refusals", "--yes", "example.com")
        self.wait_empty(30)
        status = json.loads(self.backstay("status", "--json").splitlines()[0])
        self.assertEqual(status["dsn_pending"], 60)

    def test_held_by_the_operator_takes_mail_and_hands_on_none(self):
        self.sink.up()
        self.backstay("primary", "hold", "example.com")
        self.send(20)
        time.sleep(1.5)
        row = self.primary()
        self.assertEqual((row["state"], row["reason"], row["queued"]), ("held", "operator", 20))
        self.assertEqual(self.sink.connections_seen, 0)
        self.backstay("queue", "flush", "--all")  # what is held stays held
        time.sleep(0.5)
        self.assertEqual(self.sink.connections_seen, 0)
        self.backstay("primary", "release", "example.com")
        self.sink.wait_for(20, 20)

    def test_one_that_says_421_beyond_five_connections(self):
        self.send(1000)
        self.wait_state("down")

        def script(verb, *_):
            busy = verb == "CONNECT" and len(self.sink.connections) > 5
            return b"421 4.7.0 too many connections" if busy else None
        self.sink.script = script
        self.sink.delay = 0.02
        self.sink.up()
        self.sink.wait_for(1000, 90)
        self.wait_empty(10)
        print(f"    421 beyond 5: {self.sink.connections_seen} connections for 1,000 messages, "
              f"{self.sink.connections_most} at once")
        self.assertLess(self.sink.connections_seen, 200)

    def test_one_that_takes_its_time(self):
        """300 messages at 0.5 s each: 20 connections at once need 7.5 s and the ramp."""
        self.send(300)
        self.wait_state("down")
        self.sink.delay = 0.5
        self.sink.up()
        began = time.monotonic()
        self.sink.wait_for(1, 20)
        first = time.monotonic() - began
        self.wait_state("ramping", 5)
        self.sink.wait_for(300, 90)
        self.wait_empty(10)
        self.assertLessEqual(self.sink.connections_most, 20)
        print(f"    0.5 s a message: the first after {first:.1f} s, all 300 after "
              f"{time.monotonic() - began:.1f} s, {self.sink.connections_most} connections")

    def test_new_mail_does_not_wait_for_the_backlog(self):
        self.send(600)
        self.wait_state("down")
        self.sink.delay = 0.2
        self.sink.up()
        self.sink.wait_for(20, 30)
        sender = threading.Thread(target=self.send, args=(5, b"fresh"))
        sender.start()
        sender.join(20)

        def fresh():
            return [m for m in self.sink.messages if m.recipients[0].startswith("fresh")]
        harness.wait_until(lambda: len(fresh()) == 5, 20, "the fresh ones")
        self.assertGreater(self.primary()["queued"], 100)
        self.sink.delay = 0
        self.wait_empty(60)

    def test_one_that_flaps(self):
        self.send(600)
        self.wait_state("down")
        self.sink.delay = 0.1
        for _ in range(3):
            self.sink.up()
            time.sleep(4)
            self.sink.down(abrupt=True)
            time.sleep(2)
        self.sink.delay = 0
        self.sink.up()
        self.wait_empty(60)
        names = [m.recipients[0] for m in self.sink.messages]
        twice = len(names) - len(set(names))
        print(f"    flapping: {len(names)} messages for 600, {twice} twice")
        self.assertEqual(len(set(names)), 600)
        # A cut between the content and our seeing the reply is told nobody.
        self.assertLessEqual(twice, 3 * 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)

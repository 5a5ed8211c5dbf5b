#!/usr/bin/env python3
# tests/system/shares_test.py -- limits that are the daemon's, with more shards than cores.
import signal
import unittest

import harness
import load_test
import wire

SHARDS = 8


class Shares(harness.SystemTest):
    """The primary is away while mail comes in."""

    def start(self, connections=3, domain=None):
        self.port = harness.free_port()
        backstay = self.daemon(self.port, {
            "smtp": {"shards": SHARDS}, "spool": {"segment_size": "4MiB"},
            "delivery": {"tls": "off", "max_connections_per_primary": connections}})
        backstay.settings["domain"][0].update(domain or {})
        backstay.write_config()
        return backstay.start()

    def drained(self, backstay, messages):
        """The primary comes up, and takes its time; what it has seen when all is there."""
        sink = self.managed(load_test.Sink(self.directory, "--rule", "end delay 50ms",
                                           port=self.port))
        harness.wait_until(lambda: sink.result()["taken"] >= messages, 60,
                           lambda: f"{sink.result()}\n{backstay.log()[-4000:]}")
        return sink.result(signal.SIGTERM)

    def test_more_shards_than_connections(self):
        backstay = self.start(connections=3)
        for _ in range(150):  # a connection each: the kernel spreads them
            wire.send_message(backstay.port, b"Subject: x\r\n\r\nx\r\n")
        seen = self.drained(backstay, 150)
        self.assertEqual(seen["taken"], 150, seen)
        self.assertLessEqual(seen["connections_most"], 3 + 1, seen)  # and the probe's last moment
        self.assertEqual(backstay.stop(), 0)

    def test_mail_of_one_shard_may_have_all_connections(self):
        backstay = self.start(connections=12)
        with wire.Wire(backstay.port) as client:
            client.hello()
            for _ in range(600):
                client.open_data(b"s@load.test", b"a@example.com")
                self.assertEqual(client.command(b"Subject: x\r\n\r\nx\r\n.")[:3], b"250")
        seen = self.drained(backstay, 600)
        self.assertEqual(seen["taken"], 600, seen)
        self.assertLessEqual(seen["connections_most"], 12 + 1, seen)
        self.assertGreaterEqual(seen["connections_most"], 11, seen)
        self.assertEqual(backstay.stop(), 0)

    def test_a_quota_is_the_domains(self):
        backstay = self.start(domain={"quota_messages": 50})

        def offer():
            with wire.Wire(backstay.port) as client:
                client.hello()
                self.assertEqual(client.command(b"MAIL FROM:<s@load.test>")[:3], b"250")
                verdict = client.command(b"RCPT TO:<a@example.com>")[:3]
                if verdict == b"250":
                    client.command(b"DATA")
                    self.assertEqual(client.command(b"Subject: x\r\n\r\nx\r\n.")[:3], b"250")
                return verdict

        verdicts = [offer() for _ in range(100)]
        self.assertEqual(verdicts, [b"250"] * 50 + [b"452"] * 50)
        self.drained(backstay, 50)
        harness.wait_until(lambda: offer() == b"250", 10, "room again")


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# tests/system/postfix_log_test.py -- a log in the words of Postfix, read by pflogsumm and fail2ban.
#
# Both are Debian's (tools/peers logs); what they count must be what happened.
import os
import re
import subprocess
import unittest

import harness
import peers
import sinks
import wire


class PostfixLog(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.sink = self.managed(sinks.RecordingSink())
        self.sink.script = self.answer
        self.sink.up()
        self.path = os.path.join(self.directory, "mail.log")
        self.backstay = self.daemon(self.sink.port, {
            "log": {"format": "postfix", "file": self.path}, "smtp": {"shards": 2}}).start()
        self.tell_a_story()
        self.assertEqual(self.backstay.stop(), 0)

    @staticmethod
    def answer(verb, argument, _session):
        if verb == "RCPT" and "later" in argument:
            return b"451 4.2.1 (busy) later"
        if verb == "RCPT" and "never" in argument:
            return b"550 5.1.1 User unknown"
        return None

    def tell_a_story(self):
        """5 messages: 3 sent, 1 deferred, 1 bounced. 3 recipients refused, 1 pipelined too early,
        1 client with too many errors."""
        port = self.backstay.port
        for number in range(3):
            wire.send_message(port, b"Message-ID: <%d@t>\r\n\r\nx\r\n" % number)
        wire.send_message(port, b"\r\nx\r\n", recipient=b"later@example.com")
        wire.send_message(port, b"\r\nx\r\n", recipient=b"never@example.com")
        with wire.Wire(port) as client:
            client.hello()
            client.command(b"MAIL FROM:<s@load.test>")
            for _ in range(3):
                self.assertTrue(client.command(b"RCPT TO:<x@elsewhere.test>").startswith(b"550"))
        with wire.Wire(port) as client:
            client.hello()
            client.send(b"MAIL FROM:<s@load.test>\r\nRCPT TO:<a@example.com>\r\nDATA\r\nNOOP\r\n")
            client.rest()
        with wire.Wire(port) as client:
            client.hello()
            while client.command(b"NONSENSE").startswith(b"500"):
                pass
        self.sink.wait_for(3, 10)
        harness.wait_until(lambda: "status=bounced" in self.log() and
                           "status=deferred" in self.log(), 10, self.log)

    def log(self):
        with open(self.path, encoding="ascii") as file:
            return file.read()

    def test_pflogsumm_counts_what_happened(self):
        done = subprocess.run([peers.program("pflogsumm", "logs"), "--smtpd-stats", self.path],
                              capture_output=True, text=True, timeout=60, check=True)
        counts = {name: int(count) for count, name in
                  re.findall(r"^ +(\d+) +([a-z /]+?)(?: +\(.*)?$", done.stdout, re.M)}
        expected = {"received": 5, "delivered": 3, "deferred": 1, "bounced": 1, "connections": 9,
                    "senders": 1, "recipients": 1}
        self.assertEqual({name: counts.get(name) for name in expected}, expected, done.stdout)
        # The nonsense of the last client counts as well: one line each.
        self.assertEqual(counts["rejected"], 3 + 20, done.stdout)
        size = sum(map(int, re.findall(r"size=(\d+)", self.log())))
        self.assertEqual(counts["bytes received"], size, done.stdout)
        self.assertIn("(busy", done.stdout)

    def test_fail2ban_matches_refusals_and_nothing_else(self):
        done = subprocess.run([peers.program("fail2ban-regex", "logs"), "--print-all-matched",
                               self.path, "postfix"],
                              capture_output=True, text=True, timeout=60, check=True)
        lines = len(self.log().splitlines())
        self.assertIn(f"Lines: {lines} lines, 0 ignored, 5 matched, {lines - 5} missed",
                      done.stdout)
        matched = done.stdout.partition("Matched line(s)")[2]
        self.assertEqual(matched.count("Relay access denied"), 3, matched)
        self.assertEqual(matched.count("improper command pipelining after DATA"), 1, matched)
        self.assertEqual(matched.count("too many errors after"), 1, matched)


if __name__ == "__main__":
    unittest.main()

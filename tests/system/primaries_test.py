#!/usr/bin/env python3
# tests/system/primaries_test.py -- other people's servers as primaries, in clear text and by TLS.
import json
import re
import subprocess
import time
import unittest

import harness
import mail_servers
import peers
import sinks
import tap
import tls_primary
import wire
from mail_servers import CONTENT, STUFFED


class Primaries(harness.SystemTest):
    """Each hands on what it takes; the field that it adds says whether it came by TLS."""

    def setUp(self):
        super().setUp()
        self.certificate = tls_primary.certificate(self.directory, "good", kind="rsa")
        self.behind = self.managed(sinks.RecordingSink()).up()
        self.port = harness.free_port()

    def start(self, mode):
        backstay = self.daemon(self.port, {"delivery": {"tls": mode}})
        return tls_primary.trusting(backstay, self.certificate).start()

    def through(self, server, modes=("off", "opportunistic", "require", "verify")):
        """`server(certificate)`; by `modes[n]` comes message n."""
        primary = self.managed(server)
        for count, mode in enumerate(modes, 1):
            with self.subTest(mode=mode):
                backstay = self.start(mode)
                wire.send_message(backstay.port, STUFFED)
                try:
                    self.behind.wait_for(count, 20)
                except AssertionError as error:
                    self.fail(f"{error}\n{primary.log()}\n{backstay.log()}")
                content = self.behind.messages[-1].content
                theirs, ours, rest = content.partition(b"\r\nReceived: ")
                self.assertEqual(bool(re.search(rb"with esmtps|tls TLS_|TLS(v1\.|1\.)", theirs, re.I)),
                                 mode != "off", theirs)
                self.assert_relayed((ours + rest)[2:], CONTENT)
                self.assertEqual(backstay.stop(), 0)
        self.assertEqual(len(self.behind.messages), len(modes))

    @unittest.skipUnless(peers.Postfix.available(), "chroot wants root")
    def test_exim(self):
        self.through(mail_servers.Exim(f"{self.directory}/exim", self.port, self.behind.port,
                                       self.certificate))

    @unittest.skipUnless(peers.Postfix.available(), "chroot wants root")
    def test_opensmtpd(self):
        self.through(mail_servers.OpenSmtpd(f"{self.directory}/opensmtpd", self.port,
                                            self.behind.port), ["off", "off"])

    # Debian 12's OpenSMTPD offers TLS and has none: OpenSSL 3 does not find its keys. Whoever it is
    # that connects, the handshake ends in its alert. So it is the primary whose TLS is broken.
    @unittest.skipUnless(peers.Postfix.available(), "chroot wants root")
    def test_opensmtpd_whose_tls_is_broken_gets_mail_in_clear_text_unless_tls_is_required(self):
        primary = self.managed(mail_servers.OpenSmtpd(
            f"{self.directory}/opensmtpd", self.port, self.behind.port, self.certificate))
        backstay = self.start("require")
        wire.send_message(backstay.port, STUFFED)
        harness.wait_until(lambda: "4.7.5 TLS is required, but TLS failed" in backstay.log(), 20,
                           lambda: backstay.log() + primary.log())
        wire.send_message(self.start("opportunistic").port, STUFFED)
        self.behind.wait_for(1, 20)
        time.sleep(2)
        self.assertEqual(len(self.behind.messages), 1)
        self.assertIn("SSL routines", primary.log())

    def test_haraka(self):
        self.through(mail_servers.Haraka(f"{self.directory}/haraka", self.port, self.behind.port,
                                         self.certificate))


class Chained(harness.SystemTest):
    """A backlog: the commands of a message leave with the end of the one before it."""

    MESSAGES = 40

    def through(self, server, messages=None, pipelines=True):
        """`server()` is started when the mail is queued; it hands on to the sink behind, unless
        `messages()` tells what it has taken. OpenSMTPD and aiosmtpd do not pipeline."""
        self.tap = self.managed(tap.Tap(self.port))
        backstay = self.daemon(self.tap.port, {
            "smtp": {"shards": 1}, "delivery": {"tls": "off", "max_connections_per_primary": 2}})
        backstay.start()
        for number in range(self.MESSAGES):
            wire.send_message(backstay.port, b"X-Number: %d\r\n" % number + STUFFED)
        primary = self.managed(server())
        self.tap.up()
        taken = messages or (lambda: [message.content for message in self.behind.messages])
        harness.wait_until(lambda: len(taken()) >= self.MESSAGES, 60,
                           lambda: f"{len(taken())} came\n{backstay.log()}")
        time.sleep(1)
        numbers = sorted(int(re.search(rb"X-Number: (\d+)", content)[1]) for content in taken())
        self.assertEqual(numbers, list(range(self.MESSAGES)))
        for content in taken():
            self.assertTrue(content.endswith(CONTENT), content)
        if pipelines:
            self.assertGreater(self.tap.chained, self.MESSAGES // 2)
        else:
            self.assertEqual(self.tap.chained, 0)
        self.assertEqual(self.tap.heard.count(b"MAIL FROM:"), self.MESSAGES)  # none was repeated
        self.assertEqual(backstay.stop(), 0)

    def setUp(self):
        super().setUp()
        self.behind = self.managed(sinks.RecordingSink()).up()
        self.port = harness.free_port()

    @unittest.skipUnless(peers.Postfix.available(), "Postfix wants root")
    def test_postfix(self):
        self.through(lambda: peers.Postfix(f"{self.directory}/postfix", self.port,
                                           self.behind.port, logs=True))

    @unittest.skipUnless(peers.Postfix.available(), "chroot wants root")
    def test_exim(self):
        self.through(lambda: mail_servers.Exim(f"{self.directory}/exim", self.port,
                                               self.behind.port))

    @unittest.skipUnless(peers.Postfix.available(), "chroot wants root")
    def test_opensmtpd(self):
        self.through(lambda: mail_servers.OpenSmtpd(f"{self.directory}/opensmtpd", self.port,
                                                    self.behind.port), pipelines=False)

    def test_haraka(self):
        self.through(lambda: mail_servers.Haraka(f"{self.directory}/haraka", self.port,
                                                 self.behind.port))

    def test_smtp_sink(self):
        sink = peers.SmtpSink(self.port, dump=f"{self.directory}/dump")
        self.through(lambda: sink, sink.contents)

    def test_aiosmtpd(self):
        sink = peers.AiosmtpdSink(self.port)
        self.through(lambda: sink, lambda: [envelope.content for envelope in sink.envelopes],
                     pipelines=False)


class Erring(harness.SystemTest):
    """smtp-sink that refuses or breaks off on command; behind it a good one on the same port."""

    # 4xx, a connection that is cut, 421 and a cut: none of it is a verdict.
    PASSING = [(option, at) for option in ("-r", "-q", "-Q")
               for at in ("connect", "ehlo", "mail", "rcpt", "data", ".")]
    PASSING += [("-f", "connect"), ("-f", "ehlo,helo")]
    BY_HELO = [("-f", "ehlo"), ("-e", None)]
    FINAL = [("-f", "mail"), ("-f", "rcpt"), ("-f", "data"), ("-f", ".")]

    def start(self, cases):
        """A domain for each case, all in one daemon."""
        self.ports = [harness.free_port() for _ in cases]
        backstay = self.daemon(0, {"retry": {"schedule": ["1s"]}})
        backstay.settings["domain"] = [
            {"name": f"d{n}.example", "primary": [f"127.0.0.1:{port}"]}
            for n, port in enumerate(self.ports)]
        backstay.write_config()
        erring = [peers.SmtpSink(port, *[word for word in case if word])
                  for case, port in zip(cases, self.ports)]
        for each in erring:
            self.addCleanup(each.close)
        backstay.start()
        for n in range(len(cases)):
            wire.send_message(backstay.port, STUFFED, recipient=b"a@d%d.example" % n)
        return backstay, erring

    def verb(self, backstay, *verb):
        done = subprocess.run(
            [harness.binary("backstay"), "--endpoint", backstay.settings["admin"]["socket"],
             *verb, "--json"], capture_output=True, text=True, timeout=20, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def queued(self, backstay):
        """Of each case, in order."""
        rows = {row["domain"]: row["queued"] for row in self.verb(backstay, "primary", "list")}
        return [rows[f"d{n}.example"] for n in range(len(self.ports))]

    def replace(self, erring):
        """Good sinks on the same ports, that keep what they take."""
        for each in erring:
            each.process.kill()
            each.process.wait()
        return [self.managed(peers.SmtpSink(port, dump=f"{self.directory}/dump-{port}"))
                for port in self.ports]

    def test_what_is_no_verdict_ends_in_one_delivery(self):
        cases = [*self.PASSING, *self.BY_HELO]
        backstay, erring = self.start(cases)
        harness.wait_until(lambda: not any(self.queued(backstay)[len(self.PASSING):]), 20,
                           "deliveries by HELO")
        time.sleep(3)
        waiting = dict(zip(cases, self.queued(backstay)))
        self.assertEqual(waiting, {case: int(case in self.PASSING) for case in cases})
        good = self.replace(erring)
        for case, sink in zip(self.PASSING, good):
            harness.wait_until(sink.contents, 20, f"{case}\n{backstay.log()[-4000:]}")
        time.sleep(2)
        for case, sink in zip(cases, good):
            contents = sink.contents()
            self.assertEqual(len(contents), int(case in self.PASSING), case)
            for content in contents:
                self.assert_relayed(content, CONTENT)

    def test_what_is_final_is_not_sent_again(self):
        backstay, erring = self.start(self.FINAL)
        harness.wait_until(lambda: self.verb(backstay, "status")[0]["dsn_pending"] ==
                           len(self.FINAL), 20, backstay.log)
        good = self.replace(erring)
        time.sleep(3)
        self.assertEqual([sink.contents() for sink in good], [[]] * len(good))


if __name__ == "__main__":
    unittest.main(verbosity=2)

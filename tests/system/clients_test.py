#!/usr/bin/env python3
# tests/system/clients_test.py -- real clients through the daemon into real primaries, byte for byte.
import smtplib
import unittest

import harness
import peers
import sinks

LINES = [b"From: s@load.test", b"Subject: dots and bytes", b"", b".", b"..", b".leading dot",
         b"8-bit \xe4\xf6\xfc \xff", b"long " + b"x" * 900, b"", b"."]
CONTENT = b"\r\n".join(LINES) + b"\r\n"


class Clients(harness.SystemTest):
    """Each client sends through one daemon; `received` gives what the primary has by now."""

    def through(self, primary_port, received, seconds=20):
        backstay = self.daemon(primary_port).start()
        _, queue_id = peers.swaks(backstay.port, "--body", "from swaks\n.\n..end",
                                  recipient="swaks@example.com")
        with smtplib.SMTP("127.0.0.1", backstay.port, timeout=20) as client:
            client.sendmail("s@load.test", ["lib@example.com", "two@example.com"], CONTENT)
        peers.smtp_source(backstay.port, "-m", "20", "-s", "4", "-l", "3000")
        # smtp-source -N makes names of its own; -r gives several recipients a transaction.
        peers.smtp_source(backstay.port, "-m", "5", "-r", "10", "-d")
        harness.wait_until(lambda: len(received()) >= 27, seconds,
                           lambda: f"27 messages, {len(received())} came")
        contents = received()
        self.assertEqual(len(contents), 27)
        self.check_swaks(contents, queue_id)
        ours = [c for c in contents if b"Subject: dots and bytes" in c]
        self.assertEqual(len(ours), 1)
        self.assert_relayed(ours[0], CONTENT)
        self.assertEqual(sum(b"La de da de da" in c or b"XXXX" in c for c in contents), 25)
        self.assertEqual(backstay.stop(), 0)

    def check_swaks(self, contents, queue_id):
        mails = [c for c in contents if b"from swaks\r\n.\r\n..end\r\n" in c]
        self.assertEqual(len(mails), 1)
        self.assert_relayed(mails[0], mails[0][mails[0].index(b"\r\nDate: ") + 2:], queue_id)

    def test_into_recording_sink(self):
        sink = self.managed(sinks.RecordingSink()).up()
        self.through(sink.port, lambda: [m.content for m in list(sink.messages)])
        self.assertEqual(sink.violations, [])
        recipients = [m.recipients for m in sink.messages if CONTENT in m.content]
        self.assertEqual(recipients, [["lib@example.com", "two@example.com"]])

    def test_into_smtp_sink(self):
        port = harness.free_port()
        sink = self.managed(peers.SmtpSink(port, dump=f"{self.directory}/dump"))
        self.through(port, sink.contents)

    def test_into_smtp_sink_without_pipelining_and_8bitmime(self):
        port = harness.free_port()
        sink = self.managed(peers.SmtpSink(port, "-p", "-8", dump=f"{self.directory}/dump"))
        self.through(port, sink.contents)

    def test_into_aiosmtpd(self):
        port = harness.free_port()
        sink = self.managed(peers.AiosmtpdSink(port))
        self.through(port, sink.contents)

    @unittest.skipUnless(peers.Postfix.available(), "Postfix's master wants root")
    def test_into_postfix(self):
        behind = self.managed(sinks.RecordingSink()).up()
        port = harness.free_port()
        self.managed(peers.Postfix(f"{self.directory}/postfix", port, behind.port))

        def received():
            """What Postfix had from us: its own Received field lies on top."""
            contents = []
            for message in list(behind.messages):
                head, separator, rest = message.content.partition(b"\r\nReceived: from ")
                self.assertIn(b"by postfix.test (Postfix)", head)
                contents.append(separator[2:] + rest)
            return contents
        self.through(port, received)


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# tests/system/dsn_test.py -- reports as Python's email package reads them.
import email
import email.policy
import email.utils
import json
import subprocess
import unittest

import harness
import sinks
import wire


class Reports(harness.SystemTest):
    """A primary that refuses some; senders elsewhere are told by a smart host."""

    def setUp(self):
        super().setUp()
        self.sink = self.managed(sinks.RecordingSink()).up()
        self.smart_host = self.managed(sinks.RecordingSink()).up()
        self.daemon_ = self.daemon(self.sink.port, {
            "retry": {"bounce_after": "0", "delay_warning": "2s"},
            "dsn": {"route": f"127.0.0.1:{self.smart_host.port}"}})
        self.sink.script = self.answer
        self.daemon_.start()

    @staticmethod
    def answer(verb, argument, _session):
        text = argument.encode() if isinstance(argument, str) else argument
        if verb == "RCPT" and b"gone" in text:
            return b"550 5.1.1 no such user"
        if verb == "RCPT" and b"soft" in text:
            return b"450 4.2.1 mailbox busy"
        return None

    def send(self, sender, recipients, content=b"Subject: a test\r\nTo: all\r\n\r\nwords\r\n"):
        with wire.Wire(self.daemon_.port) as client:
            client.hello()
            for line in (b"MAIL FROM:" + sender, *(b"RCPT TO:" + to for to in recipients), b"DATA"):
                reply = client.command(line)
                self.assertIn(reply[:1], b"23", reply)
            client.send(content + b".\r\n")
            self.assertEqual(client.reply()[:3], b"250")

    def status(self, *names):
        done = subprocess.run(
            [harness.binary("backstay"), "--endpoint", self.daemon_.settings["admin"]["socket"],
             "status", "--json"], capture_output=True, text=True, timeout=20, check=True)
        row = json.loads(done.stdout.splitlines()[0])
        return [row[name] for name in names or row]

    def report(self, number, seconds=20):
        """(the whole, its fields for all, its fields for each recipient)"""
        harness.wait_until(lambda: len(self.smart_host.messages) > number, seconds,
                           lambda: f"report {number}: {self.daemon_.log()[-2000:]}")
        taken = self.smart_host.messages[number]
        self.assertEqual(taken.sender, "")
        whole = email.message_from_bytes(taken.content, policy=email.policy.default)
        self.assertEqual(whole.get_content_type(), "multipart/report")
        self.assertEqual(whole.get_param("report-type"), "delivery-status")
        self.assertEqual(whole["Auto-Submitted"], "auto-replied")
        self.assertFalse(whole.defects, whole.defects)
        words, status, headers = whole.get_payload()
        self.assertEqual([part.get_content_type() for part in (words, status, headers)],
                         ["text/plain", "message/delivery-status", "text/rfc822-headers"])
        self.assertIn("Subject: a test", headers.get_payload())
        common, *each = status.get_payload()
        self.assertEqual(common["Reporting-MTA"], "dns; " + self.daemon_.settings["hostname"])
        self.assertTrue(email.utils.parsedate_to_datetime(common["Arrival-Date"]))
        return taken, common, each

    def test_what_failed_is_told_once_with_whom_and_why(self):
        self.send(b"<s@sender.test> ENVID=QQ1+2B2",
                  [b"<gone1@example.com> ORCPT=rfc822;old+40example.net", b"<fine@example.com>",
                   b"<gone2@example.com> NOTIFY=NEVER"])
        taken, common, each = self.report(0)
        self.assertEqual(taken.recipients, ["s@sender.test"])
        self.assertEqual(common["Original-Envelope-Id"], "QQ1+2")
        self.assertEqual(len(each), 1)
        fields = each[0]
        self.assertEqual(
            [fields[name] for name in ("Original-Recipient", "Final-Recipient", "Action", "Status",
                                       "Remote-MTA", "Diagnostic-Code")],
            ["rfc822; old@example.net", "rfc822; gone1@example.com", "failed", "5.1.1",
             "dns; [127.0.0.1]", "smtp; 550 5.1.1 no such user"])
        self.assertTrue(fields["Last-Attempt-Date"])
        self.assertEqual(len(self.sink.messages), 1)
        self.assertEqual(len(self.smart_host.messages), 1)

    def test_what_was_relayed_is_told_as_such_with_the_headers_only(self):
        self.send(b"<s@sender.test> RET=FULL ENVID=QQ2",
                  [b"<fine@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Fine@example.net",
                   b"<quiet@example.com>", b"<never@example.com> NOTIFY=NEVER"])
        taken, common, each = self.report(0)
        self.assertEqual(taken.recipients, ["s@sender.test"])
        self.assertEqual(common["Original-Envelope-Id"], "QQ2")
        self.assertEqual(len(each), 1)
        self.assertEqual(
            [each[0][name] for name in ("Original-Recipient", "Final-Recipient", "Action",
                                        "Status", "Remote-MTA", "Diagnostic-Code")],
            ["rfc822; Fine@example.net", "rfc822; fine@example.com", "relayed", "2.0.0",
             "dns; [127.0.0.1]", "smtp; 250 2.0.0 taken"])
        whole = email.message_from_bytes(taken.content, policy=email.policy.default)
        words = whole.get_payload()[0].get_content()
        self.assertIn("handed to [127.0.0.1], which does not send delivery notifications", words)
        self.assertNotIn("could not be delivered", words)
        self.assertNotIn(b"\r\nwords\r\n", taken.content)
        # With a failure beside it: one report of both.
        self.send(b"<s@sender.test>", [b"<fine@example.com> NOTIFY=SUCCESS", b"<gone@example.com>"])
        _, _, each = self.report(1)
        self.assertEqual([fields["Action"] for fields in each], ["relayed", "failed"])
        # Four recipients were delivered, and two reports.
        harness.wait_until(lambda: self.status("delivered", "failed", "dsn_pending") == [6, 1, 0],
                           10, self.status)

    def test_a_primary_that_offers_dsn_tells_senders_itself(self):
        self.sink.extensions += (b"DSN",)
        self.send(b"<s@sender.test>", [b"<fine@example.com> NOTIFY=SUCCESS"])
        harness.wait_until(lambda: len(self.sink.messages) == 1, 20, self.daemon_.log)
        self.send(b"<s@sender.test>", [b"<gone@example.com> NOTIFY=FAILURE"])
        _, _, each = self.report(0)  # of the second message, and no other
        self.assertEqual([fields["Action"] for fields in each], ["failed"])

    def test_what_is_late_is_told_once_and_not_to_those_who_do_not_want_it(self):
        self.send(b"<s@sender.test>", [b"<soft1@example.com>"])
        self.send(b"<t@sender.test>", [b"<soft2@example.com> NOTIFY=FAILURE"])
        self.send(b"<>", [b"<soft3@example.com>"])
        # Every minute it looks for what is late.
        taken, _, each = self.report(0, seconds=90)
        self.assertEqual(taken.recipients, ["s@sender.test"])
        fields = each[0]
        self.assertEqual([fields[name] for name in ("Final-Recipient", "Action", "Status")],
                         ["rfc822; soft1@example.com", "delayed", "4.2.1"])
        self.assertTrue(fields["Will-Retry-Until"])
        harness.wait_until(lambda: len(self.smart_host.messages) == 1, 1, lambda: "one report")


if __name__ == "__main__":
    unittest.main(verbosity=2)

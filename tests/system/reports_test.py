#!/usr/bin/env python3
# tests/system/reports_test.py -- others' programs read our reports: Python's email package, Sisimai.
import email
import email.policy
import json
import os
import re
import smtplib
import subprocess
import unittest

import harness
import mail_servers
import sinks

# What the primary says of a recipient, then the reason that Sisimai has a word for.
REFUSALS = {
    "unknown": (b"550 5.1.1 <unknown@example.com>: Recipient address rejected: User unknown",
                "userunknown"),
    "full": (b"552 5.2.2 <full@example.com>: mailbox is full, over quota", "mailboxfull"),
    "large": (b"552 5.3.4 message size exceeds the limit of the mailbox", "mesgtoobig"),
    "closed": (b"550 5.2.1 <closed@example.com>: mailbox disabled", None),
    "several": (b"550-5.7.1 first line\r\n550-5.7.1 \xff\x01 in the second\r\n550 5.7.1 the last",
                None),
    "bare": (b"550 no", None),  # without an enhanced code
}
HEADERS = (b"From: Sender <s@origin.test>\r\nTo: a@example.com\r\n"
           b"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n"
           b"Message-ID: <original@origin.test>\r\nDate: Thu, 26 Nov 2026 12:00:00 +0000\r\n")
CONTENT = HEADERS + b"\r\nbody \xff\r\n.\r\n"


class Reports(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.primary = self.managed(sinks.RecordingSink(script=self.refuse)).up()
        self.route = self.managed(sinks.RecordingSink()).up()
        self.backstay = self.daemon(self.primary.port, {
            "dsn": {"route": f"127.0.0.1:{self.route.port}"}}).start()

    @staticmethod
    def refuse(verb, argument, _session):
        name = re.match(r"TO:<(\w+)@", argument)
        return REFUSALS[name[1]][0] if verb == "RCPT" and name and name[1] in REFUSALS else None

    def send(self, *names, mail_options=(), rcpt_options=()):
        with smtplib.SMTP("127.0.0.1", self.backstay.port, "client.test", timeout=20) as client:
            client.sendmail("s@origin.test", [f"{name}@example.com" for name in names], CONTENT,
                            mail_options, rcpt_options)

    def reports(self, count):
        self.route.wait_for(count, 20)
        self.assertEqual([(m.sender, m.recipients) for m in self.route.messages],
                         [("", ["s@origin.test"])] * count)
        self.assertEqual(self.route.violations, [])
        return [message.content for message in self.route.messages]

    def parsed(self, content):
        """The three parts of RFC 3462, without a defect: text, [fields of each block], original."""
        report = email.message_from_bytes(content, policy=email.policy.default)
        for part in report.walk():
            self.assertEqual(part.defects, [], part)
        self.assertEqual(report.get_content_type(), "multipart/report")
        self.assertEqual(report.get_param("report-type"), "delivery-status")
        for name in ("From", "To", "Date", "Message-ID", "Subject", "Auto-Submitted"):
            self.assertEqual(len(report.get_all(name, [])), 1, name)
            self.assertEqual(getattr(report[name], "defects", ()), (), name)
        self.assertEqual(report["To"].addresses[0].addr_spec, "s@origin.test")
        self.assertEqual(report["Auto-Submitted"], "auto-replied")
        text, status, original = report.iter_parts()
        self.assertEqual(text.get_content_type(), "text/plain")
        self.assertEqual(status.get_content_type(), "message/delivery-status")
        return text.get_content(), status.get_payload(), original

    def test_pythons_email_package_reads_every_field(self):
        self.send(*REFUSALS, mail_options=["ENVID=id+2B1", "RET=HDRS"],
                  rcpt_options=["ORCPT=rfc822;old@example.com", "NOTIFY=FAILURE"])
        (content,) = self.reports(1)
        text, (message, *recipients), original = self.parsed(content)
        self.assertEqual(message["Reporting-MTA"], f"dns; {harness.HOSTNAME}")
        self.assertEqual(message["Original-Envelope-Id"], "id+1")
        self.assertEqual({str(each["Final-Recipient"]) for each in recipients},
                         {f"rfc822; {name}@example.com" for name in REFUSALS})
        for each in recipients:
            name = re.search(r"; (\w+)@", each["Final-Recipient"])[1]
            reply = REFUSALS[name][0]
            code = re.search(rb"[45]\.\d\.\d", reply)
            self.assertEqual(each["Action"], "failed")
            self.assertEqual(each["Status"], code[0].decode() if code else "5.0.0")
            self.assertEqual(each["Original-Recipient"], "rfc822; old@example.com")
            self.assertRegex(each["Diagnostic-Code"], "^smtp; 55[02][ -]")
            self.assertIn(f"{name}@example.com", text)
        self.assertEqual(original.get_content_type(), "text/rfc822-headers")
        self.assertIn("<original@origin.test>", original.get_content())
        self.assertNotIn("body", original.get_content())

    def test_of_the_original_there_is_the_header_whatever_was_asked_for(self):
        self.send("unknown", mail_options=["RET=FULL"])
        _, _, original = self.parsed(self.reports(1)[0])
        self.assertEqual(original.get_content_type(), "text/rfc822-headers")
        inner = email.message_from_string(original.get_content(), policy=email.policy.default)
        self.assertEqual(inner["Message-ID"], "<original@origin.test>")
        self.assertEqual(inner["Subject"], "gr\u00fc\u00dfe")
        self.assertEqual(inner.get_payload().strip(), "")

    def sisimai(self, content):
        path = f"{self.directory}/report.eml"
        with open(path, "wb") as file:
            file.write(content)
        done = subprocess.run(
            ["perl", "-MSisimai", "-e", "print Sisimai->dump($ARGV[0])", path], timeout=60,
            capture_output=True, check=False, stdin=subprocess.DEVNULL,
            env=os.environ | {"PERL5LIB": f"{mail_servers.tree('sisimai')}/usr/share/perl5"})
        self.assertEqual(done.returncode, 0, done)
        return json.loads(done.stdout)

    def test_sisimai_reads_who_failed_and_why(self):
        self.send(*REFUSALS)
        (content,) = self.reports(1)
        rows = {row["recipient"]: row for row in self.sisimai(content)}
        self.assertEqual(set(rows), {f"{name}@example.com" for name in REFUSALS})
        for name, (reply, reason) in REFUSALS.items():
            row = rows[f"{name}@example.com"]
            self.assertEqual((row["action"], row["addresser"], row["senderdomain"]),
                             ("failed", "s@origin.test", "origin.test"), row)
            code = re.search(rb"[45]\.\d\.\d", reply)
            if code:
                self.assertEqual(row["deliverystatus"], code[0].decode(), row)
            self.assertEqual(row["replycode"], reply[:3].decode(), row)
            self.assertEqual(row["messageid"], "original@origin.test", row)
            if reason:
                self.assertEqual(row["reason"], reason, row)


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# tests/system/strangers_test.py -- reports by MX: senders' hosts, and a resolver of our own.
import json
import os
import smtplib
import subprocess
import time
import unittest

import dns_server
import harness
import sinks

# Reports go to port 25; nobody else listens there.
HOSTS = {"first": "127.77.1.1", "second": "127.77.1.2", "dead": "127.77.1.9"}
SENDER = "sender.test"


class Strangers(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.dns = self.managed(dns_server.DnsServer()).up()
        self.dns.table.update({(f"{name}.{SENDER}", "A"): [host] for name, host in HOSTS.items()})
        os.environ["BACKSTAY_DNS"] = self.dns.servers
        self.addCleanup(os.environ.pop, "BACKSTAY_DNS")
        self.primary = self.managed(sinks.RecordingSink(script=self.refuse)).up()
        self.event_log = f"{self.directory}/events"

    @staticmethod
    def refuse(verb, argument, _session):
        return b"550 5.1.1 no such user" if verb == "RCPT" and "gone" in argument else None

    def host(self, name, script=None):
        sink = self.managed(sinks.RecordingSink(host=HOSTS.get(name, name), port=25, script=script))
        try:
            return sink.up()
        except OSError as error:
            self.skipTest(f"{name}, port 25: {error}")

    def start(self, **sections):
        self.backstay = self.daemon(self.primary.port, {
            "dsn": {"route": "mx"}, "retry": {"bounce_after": "0"},
            "log": {"file": self.event_log}} | sections).start()

    def refused(self, sender):
        """A message of his that the primary refuses."""
        with smtplib.SMTP("127.0.0.1", self.backstay.port, "client.test", timeout=20) as client:
            client.sendmail(sender, ["gone@example.com"], b"Subject: x\r\n\r\nx\r\n")

    def verb(self, *words):
        return subprocess.run(
            [harness.binary("backstay"), "--endpoint", self.backstay.settings["admin"]["socket"],
             *words], capture_output=True, text=True, timeout=20, check=True).stdout

    def status(self):
        return json.loads(self.verb("status", "--json").splitlines()[0])

    def events(self, kind):
        if not os.path.exists(self.event_log):
            return []
        with open(self.event_log, encoding="utf-8") as file:
            events = [json.loads(line) for line in file]
        return [event for event in events if event["event"] == kind]

    def assert_told(self, sink, recipient, seconds=10):
        harness.wait_until(lambda: sink.messages, seconds,
                           lambda: f"{self.dns.asked}\n{self.backstay.log()}")
        message = sink.messages[-1]
        self.assertEqual((message.sender, message.recipients), ("", [recipient]))
        self.assertIn(b"Content-Type: multipart/report", message.content)
        self.assertIn(b"Final-Recipient: rfc822; gone@example.com", message.content)
        self.assertEqual(sink.violations, [])

    def test_the_first_host_that_answers_is_told_by_preference(self):
        second, first = self.host("second"), self.host("first")
        self.dns.table[SENDER, "MX"] = [f"30 second.{SENDER}.", f"20 first.{SENDER}.",
                                        f"10 dead.{SENDER}."]
        self.start()
        self.refused(f"s@{SENDER}")
        self.assert_told(first, f"s@{SENDER}")
        self.assertEqual(second.connections_seen, 0)
        harness.wait_until(lambda: self.status()["dsn_pending"] == 0, 5, self.status)

    def test_a_sender_of_a_name_that_no_recipient_may_have_is_told(self):
        first = self.host("first")
        self.dns.table[SENDER, "MX"] = [f"10 first.{SENDER}."]
        self.start()
        for local_part in "bounces+" + 62 * "x", "a..b", "a%b", "a!b":
            self.refused(f"{local_part}@{SENDER}")
            self.assert_told(first, f"{local_part}@{SENDER}")
            first.messages.clear()
        self.assertEqual(self.events("discarded"), [])

    def test_a_domain_without_mx_is_its_own_host_also_by_ipv6_alone(self):
        six = self.host("::1")
        self.dns.table[SENDER, "AAAA"] = ["::1"]
        self.start()
        self.refused(f"s@{SENDER}")
        self.assert_told(six, f"s@{SENDER}")

    def test_tls_that_is_demanded_of_primaries_is_not_demanded_of_strangers(self):
        first = self.host("first")
        self.dns.table[SENDER, "MX"] = [f"10 first.{SENDER}."]
        self.start(dsn={"route": "off"})
        self.refused(f"s@{SENDER}")
        harness.wait_until(lambda: self.status()["dsn_pending"] == 1, 10, self.status)
        self.backstay.stop()
        self.backstay.settings |= {"dsn": {"route": "mx"}, "delivery": {"tls": "verify"}}
        self.backstay.write_config()
        self.backstay.start()
        self.assert_told(first, f"s@{SENDER}")

    def test_who_takes_no_mail_is_not_told_and_the_log_says_why(self):
        self.dns.table["null.test", "MX"] = ["0 ."]
        self.dns.table["ours.test", "MX"] = [f"10 {harness.HOSTNAME}.", f"20 first.{SENDER}."]
        first = self.host("first")
        self.start()
        why = {"null.test": "null MX", "nobody.test": "no domain", "ours.test": "no MX of ours.test"}
        for count, (domain, reason) in enumerate(why.items(), 1):
            self.refused(f"s@{domain}")
            harness.wait_until(lambda: len(self.events("discarded")) == count, 10,
                               lambda: f"{domain}: {self.backstay.log()}")
            event = self.events("discarded")[-1]
            self.assertEqual((event["from"], event["to"]), ("", f"s@{domain}"))
            self.assertIn(reason, event["reply"])
        self.assertEqual(first.connections_seen, 0)
        self.assertEqual(self.status()["queued"], 0)

    def test_reports_that_wait_survive_a_kill_and_are_listed(self):
        first = self.host("first", lambda verb, *_: b"421 4.3.2 later" * (verb == "CONNECT"))
        self.dns.table[SENDER, "MX"] = [f"10 first.{SENDER}."]
        self.start()
        self.refused(f"s@{SENDER}")
        harness.wait_until(lambda: len(self.events("deferred")) == 1, 10, self.backstay.log)
        self.assertIn("421 later", self.events("deferred")[0]["reply"])
        time.sleep(3)
        self.assertEqual(first.connections_seen, 1)  # nobody probes it
        self.backstay.kill()
        self.backstay.start()
        self.assertIn(f"s@{SENDER}", self.verb("queue", "list", "--domain", "@", "--json"))
        first.script = None
        self.verb("queue", "reset", "--all", "--yes")
        self.assert_told(first, f"s@{SENDER}")


if __name__ == "__main__":
    unittest.main(verbosity=2)

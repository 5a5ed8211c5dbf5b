#!/usr/bin/env python3
# tests/system/origin_test.py -- proxies before us and primaries behind us agree with us on the client.
import re
import smtplib
import unittest

import harness
import peers
import sinks

PROXIES = {"smtp": {"proxy_protocol_from": ["127.0.0.0/8"]}}
TRUSTED = {"smtp": {"xclient_from": ["127.0.0.0/8"]}}


class Origin(harness.SystemTest):
    def one(self, sink):
        harness.wait_until(lambda: sink.messages, 20, "one message")
        return sink.messages[0].content

    def test_proxy_headers_of_swaks(self):
        for version, family, source, literal in (
                ("1", "TCP4", "192.0.2.7", rb"192\.0\.2\.7"),
                ("1", "TCP6", "2001:db8::7", rb"IPv6:2001:db8::7"),
                ("2", "AF_INET", "192.0.2.7", rb"192\.0\.2\.7"),
                ("2", "AF_INET6", "2001:db8::7", rb"IPv6:2001:db8::7")):
            with self.subTest(version=version, family=family):
                sink = self.managed(sinks.RecordingSink()).up()
                backstay = self.daemon(sink.port, PROXIES).start(wait=False)
                peers.wait_port(backstay.port, backstay.process)
                destination = "127.0.0.1" if ":" not in source else "::1"
                peers.swaks(backstay.port, "--proxy-version", version, "--proxy-family", family,
                            "--proxy-source", source, "--proxy-source-port", "4711",
                            "--proxy-dest", destination, "--proxy-dest-port", "25",
                            *(("--proxy-protocol", "STREAM") if version == "2" else ()))
                self.assertRegex(self.one(sink),
                                 rb"\AReceived: from swaks\.test \(unknown \[" + literal + rb"\]\)")

    def test_xclient_of_swaks(self):
        sink = self.managed(sinks.RecordingSink()).up()
        backstay = self.daemon(sink.port, TRUSTED).start()
        peers.swaks(backstay.port, "--xclient-name", "mail.example.org", "--xclient-addr",
                    "192.0.2.7", "--xclient-helo", "helo.example.org", "--xclient-proto", "ESMTP")
        self.assertRegex(self.one(sink), rb"\AReceived: from helo\.example\.org "
                                         rb"\(mail\.example\.org \[192\.0\.2\.7\]\)")

    def postfix(self, behind, **settings):
        port = harness.free_port()
        self.managed(server := peers.Postfix(f"{self.directory}/postfix", port, behind.port,
                                             settings, logs=True))
        return port, server

    @unittest.skipUnless(peers.Postfix.available(), "Postfix's master wants root")
    def test_xclient_to_postfix(self):
        behind = self.managed(sinks.RecordingSink()).up()
        port, server = self.postfix(behind, smtpd_authorized_xclient_hosts="127.0.0.0/8")
        backstay = self.daemon(port, TRUSTED).start()
        for address, helo in (("192.0.2.7", "first.example.org"),
                              ("192.0.2.8", "second.example.org")):
            peers.swaks(backstay.port, "--xclient-name", helo, "--xclient-addr", address,
                        "--xclient-helo", helo)
        harness.wait_until(lambda: len(behind.messages) == 2, 20, "two messages")
        fields = {re.search(rb"\AReceived: from (\S+) \((\S+) \[(.*?)\]\)", m.content).groups()
                  for m in behind.messages}
        self.assertEqual(fields, {
            (b"first.example.org", b"first.example.org", b"192.0.2.7"),
            (b"second.example.org", b"second.example.org", b"192.0.2.8")})
        for client in ("first.example.org[192.0.2.7]", "second.example.org[192.0.2.8]"):
            self.assertRegex(server.log(), rf"postfix/smtpd\[\d+\]: \w+: client={re.escape(client)}")

    @unittest.skipUnless(peers.Postfix.available(), "Postfix's master wants root")
    def test_xforward_dsn_and_smtputf8_to_postfix(self):
        behind = self.managed(sinks.RecordingSink(
            extensions=(b"PIPELINING", b"8BITMIME", b"SMTPUTF8", b"DSN"))).up()
        port, _ = self.postfix(behind, smtpd_authorized_xforward_hosts="127.0.0.0/8")
        backstay = self.daemon(port).start()
        with smtplib.SMTP("127.0.0.1", backstay.port, timeout=20) as client:
            client.ehlo("client.test")
            self.assertTrue(client.has_extn("SMTPUTF8"))
            client.sendmail("s\u00fc@load.test", ["\u7528\u6237@example.com"],
                            "Subject: \u00fc\r\n\r\nx\r\n".encode(),
                            ["SMTPUTF8", "RET=HDRS", "ENVID=a+2Bb"],
                            ["NOTIFY=DELAY", "ORCPT=utf-8;\u7528\u6237@example.com"])
        content = self.one(behind)
        self.assertIn("Subject: \u00fc\r\n\r\nx\r\n".encode(), content)
        self.assertIn(b"(backstay) with UTF8SMTP id ", content)
        self.assertEqual(behind.messages[0].recipients, ["\u7528\u6237@example.com"])


if __name__ == "__main__":
    unittest.main(verbosity=2)

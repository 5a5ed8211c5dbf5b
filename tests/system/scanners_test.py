#!/usr/bin/env python3
# tests/system/scanners_test.py -- nmap's and testssl.sh's reports about the real daemon are clean.
#
# Their reports are printed: they are the output of this test. openssl s_client is in tls_test.py.
import json
import os
import re
import subprocess
import unittest

import harness
import mail_servers
import sinks
import tls_peers
import wire

# What testssl.sh has against its own openssl and against certificates made for a test.
NOT_OURS = ("engine_problem", "cert_expirationStatus", "cert_notAfter", "cert_revocation")
CONTENT = b"Subject: after the scan\r\n\r\nbody\r\n"


class Scanners(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.ecdsa = tls_peers.Certificate(self.directory, "ecdsa")
        self.rsa = tls_peers.Certificate(self.directory, "rsa", kind="rsa")
        self.sink = self.managed(sinks.RecordingSink()).up()
        self.backstay = self.daemon(self.sink.port, {
            "tls": self.ecdsa.settings(self.rsa)}).start()
        self.port = self.backstay.port

    def scan(self, package, program, *arguments, seconds=240, **variables):
        tree = mail_servers.tree(package)
        done = subprocess.run([f"{tree}/usr/bin/{program}", *arguments], capture_output=True,
                              text=True, timeout=seconds, stdin=subprocess.DEVNULL, check=False,
                              env=mail_servers.environment(package) | variables)
        print(done.stdout + done.stderr)
        return done.stdout

    def still_serves(self):
        """A message after it comes out, and nothing else does."""
        wire.send_message(self.port, CONTENT)
        self.sink.wait_for(1, 10)
        self.assertEqual(len(self.sink.messages), 1)
        self.assert_relayed(self.sink.messages[0].content, CONTENT)
        self.assertEqual(self.backstay.stop(), 0)

    def test_nmap(self):
        tree = mail_servers.tree("nmap")
        # Not smtp-brute, which needs AUTH. -sV, or the ssl scripts do not know that it is STARTTLS.
        report = self.scan("nmap", "nmap", "-n", "-Pn", "-sT", "-sV", "--version-light",
                           "--datadir", f"{tree}/usr/share/nmap", "--script",
                           "smtp-* and not smtp-brute,ssl-*,sslv2*", "-p", str(self.port),
                           "127.0.0.1")
        for line in (r"^\d+/tcp open  smtp", r"smtp-commands: mx2\.backstay\.test, PIPELINING, ",
                     r"STARTTLS", r"Couldn't find any accounts",
                     r"doesn't seem to be an open relay, all tests failed",
                     r"commonName=ecdsa", r"least strength: A"):
            self.assertRegex(report, re.compile(line, re.M))
        self.assertFalse(re.findall(r"(?<!NOT )VULNERABLE|TLSv1\.[01]:|SSLv\d|error|- [B-F]$",
                                    report, re.M))
        self.still_serves()

    # Server preferences, clients simulated and each cipher apart: minutes, and tls_test has them.
    def test_testssl(self):
        tree = mail_servers.tree("testssl")
        found = f"{self.directory}/testssl.json"
        self.scan("testssl", "testssl", "--protocols", "--std", "--server-defaults",
                  "--vulnerable", "--color", "0", "--warnings", "batch", "--nodns", "none",
                  "--add-ca", f"{self.ecdsa.path},{self.rsa.path}", "--jsonfile", found,
                  "--starttls", "smtp", "--ip", "127.0.0.1", f"{harness.HOSTNAME}:{self.port}",
                  TESTSSL_INSTALL_DIR=f"{tree}/etc/testssl",
                  PATH=f"{tree}/usr/bin:{os.environ['PATH']}")
        with open(found, encoding="utf-8") as file:
            rows = {row["id"]: row for row in json.load(file)}
        for name, text in (("TLS1_2", "offered"), ("TLS1_3", "offered with final"),
                           ("SSLv2", "not offered"), ("SSLv3", "not offered"),
                           ("TLS1", "not offered"), ("TLS1_1", "not offered"),
                           ("cipherlist_NULL", "not offered"), ("heartbleed", "not vulnerable"),
                           ("secure_client_renego", "not vulnerable")):
            self.assertTrue(rows[name]["finding"].startswith(text), rows[name])
        self.assertGreater(len(rows), 50)
        bad = [row for row in rows.values() if row["severity"] not in ("OK", "INFO", "LOW")
               and not row["id"].startswith(NOT_OURS)]
        self.assertEqual(bad, [])
        self.still_serves()


if __name__ == "__main__":
    unittest.main(verbosity=2)

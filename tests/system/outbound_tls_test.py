#!/usr/bin/env python3
# tests/system/outbound_tls_test.py -- STARTTLS towards primaries with OpenSSL: ours, aiosmtpd, Postfix.
import json
import re
import shutil
import signal
import ssl
import subprocess
import unittest

import harness
import peers
import sinks
import tls_primary
import wire

CONTENT = b"Subject: tls\r\n\r\nbody\r\n"


class OutboundTls(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.good = tls_primary.certificate(self.directory, "good")

    def start(self, port, mode, **delivery):
        backstay = self.daemon(port, {"delivery": {"tls": mode, **delivery}})
        return tls_primary.trusting(backstay, self.good).start()

    def primary(self, certificate):
        return self.managed(tls_primary.TlsPrimary(certificate))

    @staticmethod
    def reason(backstay):
        listed = subprocess.run(
            [harness.binary("backstay"), "--endpoint", backstay.settings["admin"]["socket"],
             "primary", "list", "--json"], capture_output=True, text=True, timeout=20, check=True)
        row = json.loads(listed.stdout.splitlines()[0])
        return row["state"], row["reason"]

    @staticmethod
    def warnings(backstay):
        return [line for line in backstay.log().splitlines() if " tls: 127.0.0.1:" in line]

    def waits(self, backstay, primary, reason):
        """Nothing of a message goes out, the operator sees why, and mended it goes by TLS."""
        wire.send_message(backstay.port, CONTENT)
        harness.wait_until(lambda: re.search(reason, self.reason(backstay)[1]), 20,
                           lambda: f"{self.reason(backstay)}\n{backstay.log()}")
        self.assertEqual(self.reason(backstay)[0], "down")
        harness.wait_until(lambda: self.warnings(backstay), 20, backstay.log)
        seen = len(primary.hellos())
        harness.wait_until(lambda: len(primary.hellos()) > seen + 2, 30, "more probes")
        self.assertEqual(primary.messages, [])
        self.assertEqual(len(self.warnings(backstay)), 1, backstay.log())
        self.assertRegex(self.warnings(backstay)[0], reason)
        primary.certificate, primary.breaks = self.good, False
        primary.wait_for(1)
        self.assertEqual(primary.in_clear(), [])
        self.assert_relayed(primary.messages[0][0], CONTENT)


class Modes(OutboundTls):
    def test_every_mode_with_a_good_certificate(self):
        for mode in ("off", "opportunistic", "require", "verify"):
            with self.subTest(mode=mode):
                primary = self.primary(self.good)
                wire.send_message(self.start(primary.port, mode).port, CONTENT)
                primary.wait_for(1)
                self.assert_relayed(primary.messages[0][0], CONTENT)
                self.assertEqual(primary.messages[0][1], None if mode == "off" else "TLSv1.3")
                self.assertEqual(bool(primary.in_clear()), mode == "off")

    def test_certificates_that_are_not_good(self):
        for name, options, reason in (
                ("misnamed", {"host": "IP:127.0.0.2"}, "IP address mismatch"),
                ("expired", {"expired": True}, "certificate has expired"),
                ("unknown", {}, "self.signed certificate")):
            bad = tls_primary.certificate(self.directory, name, **options)
            trusted = [bad] if name != "unknown" else []
            for mode in ("opportunistic", "require", "verify"):
                with self.subTest(mode=mode, name=name):
                    primary = self.primary(bad)
                    backstay = self.daemon(primary.port, {"delivery": {"tls": mode}})
                    tls_primary.trusting(backstay, self.good, *trusted).start()
                    if mode == "verify":
                        self.waits(backstay, primary,
                                   "4.7.5 TLS is required, but TLS failed: " + reason)
                        self.assertRegex(primary.faults[0], "ALERT_|alert")
                        continue
                    wire.send_message(backstay.port, CONTENT)
                    primary.wait_for(1)
                    self.assertEqual(primary.in_clear(), [])

    def test_starttls_stripped(self):
        for mode in ("require", "verify"):
            with self.subTest(mode=mode):
                primary = self.primary(None)
                self.waits(self.start(primary.port, mode), primary,
                           "4.7.4 TLS is required, but STARTTLS is not offered")
        primary = self.primary(None)
        wire.send_message(self.start(primary.port, "opportunistic").port, CONTENT)
        primary.wait_for(1)

    def test_a_handshake_that_breaks(self):
        for mode in ("require", "verify"):
            with self.subTest(mode=mode):
                primary = self.primary(self.good)
                primary.breaks = True
                self.waits(self.start(primary.port, mode), primary,
                           "4.7.5 TLS is required, but TLS failed: WRONG_VERSION_NUMBER")
        primary = self.primary(self.good)
        primary.breaks = True
        backstay = self.start(primary.port, "opportunistic")
        for count in (1, 2):
            wire.send_message(backstay.port, CONTENT)
            primary.wait_for(count)
        self.assertEqual([version for _, version in primary.messages], [None, None])
        self.assertIn("WRONG_VERSION_NUMBER; its mail goes in clear text", backstay.log())

    def test_bytes_behind_the_220(self):
        primary = self.primary(self.good)
        primary.behind_220 = b"250-tls.test\r\n250 SIZE 1\r\n"
        backstay = self.start(primary.port, "opportunistic")
        wire.send_message(backstay.port, CONTENT)
        harness.wait_until(lambda: "broke the protocol" in self.reason(backstay)[1], 20,
                           lambda: self.reason(backstay))
        self.assertEqual(primary.messages, [])
        primary.behind_220 = b""
        primary.wait_for(1)
        self.assertEqual(primary.in_clear(), [])


class ClientCertificate(OutboundTls):
    def test_is_shown_and_a_primary_that_wants_one_gets_it(self):
        ours = tls_primary.certificate(self.directory, "mx2.backstay.test")
        primary = self.primary(self.good)
        primary.client_authority = ours
        backstay = self.start(primary.port, "verify", client_certificate=ours.path,
                              client_key=ours.key)
        wire.send_message(backstay.port, CONTENT)
        primary.wait_for(1)
        self.assertEqual(primary.shown[-1], "mx2.backstay.test")

    # A server of TLS 1.3 says so behind the handshake.
    def test_that_is_missing_is_a_failure_of_tls(self):
        primary = self.primary(self.good)
        primary.client_authority = tls_primary.certificate(self.directory, "authority")
        backstay = self.start(primary.port, "require")
        wire.send_message(backstay.port, CONTENT)
        harness.wait_until(lambda: "4.7.5 TLS is required, but TLS failed" in
                           self.reason(backstay)[1], 20, lambda: self.reason(backstay))
        self.assertEqual(primary.in_clear(), [])
        primary.client_authority = None
        primary.wait_for(1)

    def test_a_reload_takes_a_good_one_and_keeps_the_old_for_a_bad_one(self):
        ours = tls_primary.certificate(self.directory, "first")
        next_one = tls_primary.certificate(self.directory, "second")
        primary = self.primary(self.good)
        primary.client_authority = tls_primary.certificate(self.directory, "both")
        shutil.copyfile(ours.path, primary.client_authority.path)
        with open(primary.client_authority.path, "ab") as file, open(next_one.path, "rb") as more:
            file.write(more.read())
        backstay = self.start(primary.port, "require", client_certificate=ours.path,
                              client_key=ours.key)
        for key, line, shown in ((next_one.key, "reload refused", "first"),
                                 (None, "configuration reloaded", "second")):
            if key is None:
                backstay.settings["delivery"]["client_certificate"] = next_one.path
            backstay.settings["delivery"]["client_key"] = next_one.key
            backstay.write_config()
            before = len(backstay.log())
            backstay.process.send_signal(signal.SIGHUP)
            harness.wait_until(lambda at=before, word=line: word in backstay.log()[at:], 10,
                               backstay.log)
            count = len(primary.messages) + 1
            wire.send_message(backstay.port, CONTENT)
            primary.wait_for(count)
            harness.wait_until(lambda name=shown: primary.shown[-1] == name, 10,
                               lambda: primary.shown)
            harness.wait_until(lambda: primary.commands[-1][0] == "QUIT", 10, "the idle QUIT")


class OtherPeople(OutboundTls):
    def test_aiosmtpd(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.good.path, self.good.key)
        for mode in ("off", "opportunistic", "require", "verify"):
            with self.subTest(mode=mode):
                port = harness.free_port()
                sink = self.managed(peers.AiosmtpdSink(port, context))
                wire.send_message(self.start(port, mode).port, CONTENT)
                harness.wait_until(lambda got=sink: got.secure, 20, "a message")
                self.assert_relayed(sink.contents()[0], CONTENT)
                self.assertEqual(sink.secure, [mode != "off"])

    @unittest.skipUnless(peers.Postfix.available(), "Postfix's master wants root")
    def test_postfix(self):
        ours = tls_primary.certificate(self.directory, "mx2.backstay.test")
        behind = self.managed(sinks.RecordingSink()).up()
        port = harness.free_port()
        self.managed(peers.Postfix(f"{self.directory}/postfix", port, behind.port, {
            "smtpd_tls_security_level": "may", "smtpd_tls_cert_file": self.good.path,
            "smtpd_tls_key_file": self.good.key, "smtpd_tls_ask_ccert": "yes",
            "smtpd_tls_received_header": "yes"}))
        for count, mode in enumerate(("off", "opportunistic", "require", "verify"), 1):
            with self.subTest(mode=mode):
                backstay = self.start(port, mode, client_certificate=ours.path,
                                      client_key=ours.key)
                wire.send_message(backstay.port, CONTENT)
                behind.wait_for(count, 20)
                head = behind.messages[-1].content.split(b"\r\nReceived: ")[0]
                if mode == "off":
                    self.assertNotIn(b"using TLS", head)
                    continue
                self.assertRegex(head, rb"\(using TLSv1\.3 with cipher ")
                self.assertIn(b'(Client CN "mx2.backstay.test"', head)


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# tests/system/tls_test.py -- STARTTLS of the real daemon against OpenSSL: Python's and s_client.
import itertools
import os
import re
import select
import shutil
import signal
import socket
import ssl
import time
import unittest

import harness
import sinks
import tls_peers
import wire

CONTENT = b"Subject: tls\r\n\r\nbody\r\n..dot\r\n"
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class TlsTest(harness.SystemTest):
    settings = {}

    def setUp(self):
        super().setUp()
        self.ecdsa = tls_peers.Certificate(self.directory, "ecdsa")
        self.rsa = tls_peers.Certificate(self.directory, "rsa", kind="rsa")
        self.sink = self.managed(sinks.RecordingSink())
        self.backstay = self.daemon(
            self.sink.port, {"tls": self.tls_settings(), **self.settings}).start()
        self.port = self.backstay.port

    def tls_settings(self):
        return self.ecdsa.settings(self.rsa)

    def connect(self, *arguments, **options):
        return self.managed(tls_peers.TlsWire(self.port, *arguments, **options))

    def nothing_stored(self):
        self.sink.up()
        wire.send_message(self.port, b"Subject: last\r\n\r\n")
        self.sink.wait_for(1, 20)
        self.assertEqual(len(self.sink.messages), 1)
        self.assertIn(b"Subject: last", self.sink.messages[0].content)


class Sessions(TlsTest):
    def test_mail_by_every_version_and_kind_of_certificate(self):
        self.sink.up()
        # In TLS 1.3 the ciphers do not say which one: test_sclient asks by signature.
        ways = ((self.ecdsa, V12, "aECDSA"), (self.rsa, V12, "aRSA"), (self.ecdsa, V13, None))
        for count, (certificate, version, ciphers) in enumerate(ways, 1):
            settings = tls_peers.context(certificate, version, ciphers)
            tls_peers.smtplib_message(self.port, CONTENT, settings)
            self.sink.wait_for(count, 20)
            delivered = self.sink.messages[-1].content
            self.assertIn(b" (backstay) with ESMTPS id ", delivered)
            self.assert_relayed(delivered, CONTENT)

    def test_offer_before_and_not_behind(self):
        client = self.connect()
        self.assertIn(b"250-STARTTLS\r\n", client.plain_hello)
        self.assertTrue(client.command(b"MAIL FROM:<a@b.test>").startswith(b"503"))
        self.assertNotIn(b"STARTTLS", client.hello())
        self.assertTrue(client.command(b"STARTTLS").startswith(b"503"))

    def test_large_messages_byte_for_byte(self):
        self.sink.up()
        content = b"".join(b"%07d %s\r\n" % (n, b"x" * (n % 900)) for n in range(20000))
        client = self.connect()
        client.hello()
        client.open_data()
        reply = client.command(content + b".")
        self.assertRegex(reply, harness.QUEUED)
        self.sink.wait_for(1, 60)
        self.assert_relayed(self.sink.messages[0].content, content)

    def test_tickets_are_taken_by_every_shard(self):
        # The kernel spreads connections over both shards, so twenty meet both of them.
        for version in (V12, V13):
            settings = tls_peers.context(version=version)
            session = None
            for visit in range(20):
                client = self.connect(settings, session=session)
                client.hello()  # the tickets of TLS 1.3 come before its reply
                self.assertEqual(client.socket.session_reused, visit > 0, (version, visit))
                session = client.socket.session
                client.close()

    def test_sclient(self):
        for arguments, wanted in (
                (["-tls1_2"], ["TLSv1.2", "ECDHE-ECDSA"]),
                (["-tls1_3"], ["TLSv1.3"]),
                (["-tls1_2", "-cipher", "aRSA"], ["TLSv1.2", "ECDHE-RSA"]),
                (["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"], ["TLSv1.3", "CN = rsa"]),
                (["-tls1_3", "-reconnect"], [])):
            text, status = tls_peers.Client(self.port, *arguments).type()
            self.assertEqual(status, 0, text)
            for word in wanted:
                self.assertIn(word, text)

    def test_old_versions_and_weak_ciphers_are_refused(self):
        for arguments in (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
                          ["-tls1_2", "-cipher", "AES128-SHA"]):
            text, status = tls_peers.Client(self.port, *arguments).type()
            self.assertNotEqual(status, 0)
            self.assertRegex(text, "alert|no protocols available")
        wire.send_message(self.port, CONTENT)  # in clear text it still may

    def test_renegotiation_ends_the_connection(self):
        text, _ = tls_peers.Client(self.port, "-tls1_2").type(b"R\n")
        self.assertIn("RENEGOTIATING", text)
        self.assertRegex(text, "no renegotiation|alert|handshake failure|unexpected eof")
        wire.send_message(self.port, CONTENT)


class Names(TlsTest):
    def tls_settings(self):
        self.other = tls_peers.Certificate(self.directory, "other", ["*.backup.example"])
        return self.other.settings(self.ecdsa)

    def test_the_name_decides(self):
        for asked, shown in (("a.backup.example", "other"), (harness.HOSTNAME, "ecdsa"),
                             ("nobody.test", "ecdsa"), (None, "ecdsa")):
            arguments = ["-servername", asked] if asked else ["-noservername"]
            text, status = tls_peers.Client(self.port, *arguments).type()
            self.assertEqual(status, 0, text)
            self.assertIn(f"subject=CN = {shown}", text, asked)


class Hostile(TlsTest):
    settings = {"smtp": {"shards": 1}}

    def test_commands_behind_starttls_never_run(self):
        client = self.managed(wire.Wire(self.port))
        client.hello()
        client.send(b"STARTTLS\r\nMAIL FROM:<evil@load.test>\r\n")
        self.assertTrue(client.reply().startswith(b"554 5.5.0"))
        self.assertEqual(client.rest(), b"")

    def test_commands_sent_apart_never_run_either(self):
        client = self.managed(wire.Wire(self.port))
        client.hello()
        client.send(b"STARTTLS\r\n")
        self.assertTrue(client.reply().startswith(b"220"))
        client.send(b"MAIL FROM:<evil@load.test>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n")
        answer = client.rest()
        self.assertIsNotNone(answer, "not closed")
        self.assertEqual(answer[:1], b"\x15")  # an alert
        self.assertLess(len(answer), 10)

    def test_cut_and_close_notify_inside_data_store_nothing(self):
        for end in (lambda client: client.end_tls(), tls_peers.half_closed,
                    lambda client: client.close()):
            client = self.connect()
            client.hello()
            client.open_data()
            client.send(CONTENT * 100)
            end(client)
            client.close()
        self.nothing_stored()

    def test_clear_text_behind_close_notify_is_not_read(self):
        client = self.connect()
        client.hello()
        client.open_data()
        raw = socket.socket(fileno=os.dup(client.socket.fileno()))
        self.managed(raw)
        client.send(CONTENT)
        client.end_tls()
        try:
            raw.sendall(b".\r\n")
        except OSError:
            pass
        self.nothing_stored()


class Flood(TlsTest):
    settings = {"smtp": {"shards": 1}}
    CLIENTS = 300

    def tls_settings(self):
        return self.rsa.settings()  # the dear kind: a signature takes about a millisecond

    # If they were all done in the turn in which they come, somebody would wait for all of them.
    def test_a_flood_of_handshakes_leaves_plain_clients_their_latency(self):
        clients = [self.managed(wire.Wire(self.port)) for _ in range(self.CLIENTS)]
        for client in clients:
            client.hello()
            self.assertTrue(client.command(b"STARTTLS").startswith(b"220"))
        hellos = [self.client_hello() for _ in clients]
        # Several, because one may say NOOP a hundred times only.
        plain = itertools.cycle([self.managed(wire.Wire(self.port)) for _ in range(20)])
        begin = time.monotonic()
        for client, hello in zip(clients, hellos):
            client.send(hello)
        pending, slowest = {client.socket for client in clients}, 0
        while pending:
            asked = time.monotonic()
            self.assertTrue(next(plain).command(b"NOOP").startswith(b"250"))
            slowest = max(slowest, time.monotonic() - asked)
            pending -= set(select.select(pending, [], [], 0.002)[0])
            self.assertLess(time.monotonic() - begin, 20, f"{len(pending)} without an answer")
        total = time.monotonic() - begin
        print(f"{self.CLIENTS} handshakes in {total * 1000:.0f} ms, "
              f"the slowest NOOP beside them {slowest * 1000:.1f} ms")
        self.assertLess(slowest, total / 3)

    @staticmethod
    def client_hello():
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        made = tls_peers.context().wrap_bio(incoming, outgoing, server_hostname=harness.HOSTNAME)
        try:
            made.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return outgoing.read()


class Reload(TlsTest):
    def tls_settings(self):
        return self.ecdsa.settings()

    def reload(self, line):
        before = len(self.backstay.log())
        self.backstay.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: re.search(line, self.backstay.log()[before:]), 10,
                           lambda: self.backstay.log()[before:])
        return self.backstay.log()[before:]

    def shown(self):
        text, _ = tls_peers.Client(self.port).type()
        return re.search(r"subject=CN = (\S+)", text)[1]

    def test_a_good_one_replaces_the_old_for_new_connections(self):
        client = self.connect()
        client.hello()
        shutil.copy(self.rsa.path, self.ecdsa.path)
        shutil.copy(self.rsa.key, self.ecdsa.key)
        self.reload("configuration reloaded")
        self.assertEqual(self.shown(), "rsa")
        client.open_data()
        self.assertRegex(client.command(CONTENT + b"."), harness.QUEUED)

    def test_a_bad_one_keeps_the_old(self):
        expired = tls_peers.Certificate(self.directory, "expired", expired=True)
        for certificate, key, reason in (
                (self.ecdsa.path, self.rsa.key, "not the private key of the first certificate"),
                (self.ecdsa.path, self.directory + "/none", "No such file"),
                (self.directory + "/none", self.ecdsa.key, "No such file"),
                (self.ecdsa.key, self.ecdsa.key, "no certificate in it"),
                (expired.path, expired.key, "expired on")):
            self.backstay.settings["tls"] = {"certificate": certificate, "private_key": key}
            self.backstay.write_config()
            log = self.reload("reload refused, the old configuration stays: .*" + reason)
            self.assertEqual(log.count(" error "), 1, log)  # and what a start says late
            self.assertEqual(self.shown(), "ecdsa")

    def test_tls_may_come_and_go(self):
        self.backstay.settings["tls"] = {}
        self.backstay.write_config()
        self.reload("configuration reloaded")
        with wire.Wire(self.port) as client:
            self.assertNotIn(b"STARTTLS", client.hello())
            self.assertTrue(client.command(b"STARTTLS").startswith(b"502"))
        self.backstay.settings["tls"] = self.rsa.settings()
        self.backstay.write_config()
        self.reload("configuration reloaded")
        self.assertEqual(self.shown(), "rsa")


class Starting(TlsTest):
    def test_a_bad_certificate_exits_78_and_an_expired_one_is_a_warning(self):
        self.backstay.stop()
        self.backstay.settings["tls"] = {"certificate": self.ecdsa.path,
                                         "private_key": self.rsa.key}
        self.backstay.write_config()
        for arguments in ((), ("--check",)):
            ended = self.backstay.run(*arguments)
            self.assertEqual(ended.returncode, 78)
            self.assertIn("rsa-key.pem: not the private key of the first certificate in",
                          ended.stderr)
        expired = tls_peers.Certificate(self.directory, "expired", expired=True)
        self.backstay.settings["tls"] = expired.settings()
        self.backstay.write_config()
        checked = self.backstay.run("--check")
        self.assertEqual(checked.returncode, 0)
        self.assertIn("expired.pem: the certificate expired on", checked.stderr)
        self.backstay.start()
        self.assertRegex(self.backstay.log(), r"expired\.pem: the certificate expired on 20")
        self.connect().hello()


class Memory(TlsTest):
    CLIENTS = 400
    BYTES_MAX = 24 * 1024  # user memory; a connection in clear text has about 1 KiB

    def setUp(self):
        self.plain = harness.plain_binary("backstayd")
        if self.plain is None:
            self.skipTest("no program without sanitizers")
        super().setUp()
        self.backstay.stop()
        self.backstay = self.daemon(self.sink.port, {"tls": self.tls_settings()}, self.plain)
        self.port = self.backstay.start().port

    def test_idle_sessions_are_cheap(self):
        for _ in range(20):
            self.connect().hello()
        before = self.backstay.rss()
        for _ in range(self.CLIENTS):
            self.connect().hello()
        each = (self.backstay.rss() - before) / self.CLIENTS
        print(f"{each / 1024:.1f} KiB for each of {self.CLIENTS} idle TLS sessions")
        self.assertLess(each, self.BYTES_MAX)


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# tests/system/senders_test.py -- other people's senders, in clear text and by TLS, byte for byte.
import os
import re
import smtplib
import subprocess
import unittest

import harness
import mail_servers
import peers
import sinks
import tls_peers
from mail_servers import CONTENT

NODEMAILER = """
const fs = require('fs');
const [package, port, ca, name, secure] = process.argv.slice(1);
const transport = require(package).createTransport({
  host: '127.0.0.1', port: +port, name: 'nodemailer.test', pool: true, maxConnections: 1,
  ignoreTLS: !secure, requireTLS: !!secure, tls: {ca: fs.readFileSync(ca), servername: name}});
const raw = fs.readFileSync(0);
const send = () => transport.sendMail(
  {envelope: {from: 's@load.test', to: ['a@example.com']}, raw: raw});
send().then(send).then(info => { console.log(info.response); transport.close(); })
  .catch(error => { console.error(error); process.exit(1); });
"""


class Senders(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.certificate = tls_peers.Certificate(self.directory, "ours", kind="rsa")
        self.sink = self.managed(sinks.RecordingSink()).up()
        self.backstay = self.daemon(self.sink.port, {"tls": self.certificate.settings()}).start()
        self.port = self.backstay.port

    def arrived(self, count, secure, plain=b"ESMTP"):
        """The newest of `count` messages, whose Received field of ours says how it came."""
        self.sink.wait_for(count, 20)
        message = self.sink.messages[-1]
        self.assertEqual((message.sender, message.recipients), ("s@load.test", ["a@example.com"]))
        wanted = b" (backstay) with %s id " % (b"ESMTPS" if secure else plain)
        self.assertIn(wanted, message.content.partition(b"\r\nReceived: ")[0])
        return message.content

    def finish(self, count):
        self.assertEqual(self.backstay.stop(), 0)
        self.assertEqual(len(self.sink.messages), count)
        self.assertEqual(self.sink.violations, [])

    def run_client(self, command, content, **options):
        done = subprocess.run(command, input=content, capture_output=True, timeout=60, check=False,
                              **options)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    def test_swaks(self):
        perl = f"{mail_servers.tree('ssleay')}/usr/lib/{mail_servers.MULTIARCH}/perl5"
        perl = os.path.join(perl, os.listdir(perl)[0])
        for count, secure in enumerate((False, True), 1):
            os.environ["PERL5LIB"] = perl
            self.addCleanup(os.environ.pop, "PERL5LIB", None)
            transcript, _ = peers.swaks(self.port, "--body", "body\n.\n..", *(
                ("--tls", "--tls-ca-path", self.certificate.path) if secure else ()))
            self.assertEqual("=== TLS started with cipher" in transcript, secure)
            self.assertIn(b"body\r\n.\r\n..\r\n", self.arrived(count, secure))
        self.finish(2)

    def test_smtp_source(self):
        peers.smtp_source(self.port, "-m", "10", "-s", "2")  # it knows no TLS, and says HELO
        self.arrived(10, False, b"SMTP")
        self.finish(10)

    def test_smtplib(self):
        with smtplib.SMTP("127.0.0.1", self.port, "smtplib.test", timeout=20) as client:
            client.sendmail("s@load.test", ["a@example.com"], CONTENT)
        self.assert_relayed(self.arrived(1, False), CONTENT)
        tls_peers.smtplib_message(self.port, CONTENT, tls_peers.context(self.certificate),
                                  sender="s@load.test")
        self.assert_relayed(self.arrived(2, True), CONTENT)
        self.finish(2)

    def test_nodemailer(self):
        package = f"{mail_servers.tree('npm')}/node_modules/nodemailer"
        for count, secure in enumerate((False, True), 1):
            said = self.run_client(["node", "-e", NODEMAILER, package, str(self.port),
                                    self.certificate.path, harness.HOSTNAME,
                                    *(["secure"] if secure else [])], CONTENT)
            self.assertRegex(said, harness.QUEUED)
            self.assert_relayed(self.arrived(2 * count, secure), CONTENT)
        self.finish(4)

    def test_msmtp(self):
        program = f"{mail_servers.tree('msmtp')}/usr/bin/msmtp"
        for count, secure in enumerate((False, True), 1):
            tls = ["--tls=on", "--tls-starttls=on", f"--tls-trust-file={self.certificate.path}",
                   f"--tls-host-override={harness.HOSTNAME}"] if secure else ["--tls=off"]
            self.run_client([program, "--host=127.0.0.1", f"--port={self.port}",
                             "--domain=msmtp.test", "--from=s@load.test", *tls, "a@example.com"],
                            CONTENT.replace(b"\r\n", b"\n"),
                            env=mail_servers.environment("msmtp"))
            self.assert_relayed(self.arrived(count, secure), CONTENT)
        self.finish(2)

    def through(self, make):
        """`make(port, tls)` gives a mail server that sends to us: what it was given comes out."""
        for count, secure in enumerate((False, True), 1):
            port = harness.free_port()
            server = self.managed(make(port, secure))
            with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=20) as client:
                client.sendmail("s@load.test", ["a@example.com"], CONTENT)
            try:
                content = self.arrived(count, secure)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{server.log()}") from None
            # Our field on top of the sender's, and nothing else.
            ours, theirs, rest = content.partition(b"\r\nReceived: ")
            self.assertNotIn(b"by " + harness.HOSTNAME.encode(), rest)
            self.assertRegex(theirs + rest[:-len(CONTENT)],
                             rb"\A\r\nReceived: from [^\r\n]*(\r\n[ \t][^\r\n]*)*\r\n\Z")
            self.assertEqual(rest[-len(CONTENT):], CONTENT)
            self.assertTrue(re.match(rb"Received: from (postfix|exim|opensmtpd)\.test ", ours), ours)
        self.finish(2)

    @unittest.skipUnless(peers.Postfix.available(), "Postfix's master wants root")
    def test_postfix(self):
        self.through(lambda port, secure: peers.Postfix(
            f"{self.directory}/postfix-{secure}", port, self.port,
            {"smtp_tls_security_level": "encrypt" if secure else "none"}))

    @unittest.skipUnless(peers.Postfix.available(), "chroot wants root")
    def test_exim(self):
        self.through(lambda port, secure: mail_servers.Exim(
            f"{self.directory}/exim-{secure}", port, self.port, next_tls=secure))

    @unittest.skipUnless(peers.Postfix.available(), "chroot wants root")
    def test_opensmtpd(self):
        self.through(lambda port, secure: mail_servers.OpenSmtpd(
            f"{self.directory}/opensmtpd-{secure}", port, self.port, next_tls=secure))


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# tests/system/config_test.py -- what a start, checks and a reload say of a configuration.
import os
import signal
import subprocess
import unittest

import harness
import tls_peers
import wire

# Runs what follows the name on a machine that is called so.
NAMED = ["unshare", "--uts", "sh", "-c", 'hostname "$1" && shift && exec "$@"', "sh"]
MEMORY = 256 << 20


def can_rename():
    try:
        done = subprocess.run([*NAMED, "vm", "hostname"], capture_output=True, timeout=10,
                              check=False)
        return done.stdout == b"vm\n"
    except OSError:
        return False


class Configuration(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.backstay = self.daemon(harness.free_port())
        self.path = self.backstay.config_path
        os.chmod(self.path, 0o644)

    def place(self, text):
        """Where the value of that key stands, which the file names once."""
        with open(self.path, encoding="utf-8") as file:
            return next(f"{self.path}:{number}:{len(text) + 4}: " for number, line
                        in enumerate(file, 1) if line.startswith(text + " = "))

    def ask(self, verb):
        return subprocess.run([*self.backstay.limits, harness.binary("backstay"), verb, self.path],
                              capture_output=True, text=True, timeout=30, check=False)

    def hang_up(self, says):
        before = self.backstay.log().count(says)
        self.backstay.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: self.backstay.log().count(says) > before, 10, self.backstay.log)

    def assert_refused(self, text):
        """By all that read it but a reload."""
        for done in (self.backstay.run(), self.backstay.run("--check"), self.ask("check-config")):
            self.assertEqual(done.returncode, 78, done)
            self.assertIn(text, done.stderr)
        done = self.ask("doctor")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(text, done.stdout)

    def assert_warned(self, text):
        """By all that read it but a reload; the daemon serves."""
        for done in (self.backstay.run("--check"), self.ask("check-config")):
            self.assertEqual(done.returncode, 0, done)
            self.assertEqual(done.stderr.count(text), 1, done)
        self.assertRegex(self.ask("doctor").stdout, r"(?m)^warning +configuration .*" + text)
        self.backstay.start()
        self.assertIn(text, self.backstay.log())

    @unittest.skipUnless(can_rename(), "no machine of another name can be had here")
    def test_a_machine_without_a_name_for_mail_needs_one_in_the_file(self):
        del self.backstay.settings["hostname"]
        self.backstay.write_config()
        self.backstay.limits = [*NAMED, "localhost"]
        self.assert_refused("hostname is not set, and the machine's own name \"localhost\"")
        self.backstay.limits = [*NAMED, "vm"]
        self.assert_warned("the machine's own name \"vm\" has no dot")
        with wire.Wire(self.backstay.port) as client:
            self.assertTrue(client.banner.startswith(b"220 vm "), client.banner)

    @unittest.skipUnless(can_rename(), "no machine of another name can be had here")
    def test_a_reload_that_takes_the_name_away_is_refused(self):
        self.backstay.limits = [*NAMED, "localhost"]
        self.backstay.start()
        del self.backstay.settings["hostname"]
        self.backstay.write_config()
        self.hang_up(f"set hostname = \"mx2.example.net\", the name that others know it by, in "
                     f"{self.path}")
        self.assertIn("reload refused", self.backstay.log())
        with wire.Wire(self.backstay.port) as client:
            self.assertIn(harness.HOSTNAME.encode(), client.banner)

    def test_a_file_that_is_not_there_is_named_with_its_key_and_place(self):
        none = os.path.join(self.backstay.directory, "none")
        self.backstay.settings["domain"][0]["recipients"] = f"file:{none}"
        self.backstay.write_config()
        reason = f"{self.place('recipients')}domain.recipients: {none}: No such file"
        self.assert_refused(reason)
        del self.backstay.settings["domain"][0]["recipients"]
        self.backstay.write_config()
        self.backstay.start()
        self.backstay.settings["tls"] = {"certificate": none, "private_key": none}
        self.backstay.write_config()
        self.hang_up(f"reload refused, the old configuration stays: {self.place('certificate')}"
                     f"tls.certificate: {none}: No such file or directory; give the path of a PEM")

    def test_a_reload_says_what_a_start_says(self):
        self.backstay.start()
        self.backstay.settings["admin"]["listen"] = "127.0.0.1:8025"
        self.backstay.write_config()
        self.hang_up("not in effect yet: admin.listen")
        self.assertRegex(self.backstay.log(), r" warning \S+:\d+:\d+: not in effect yet: admin\.l")

    def test_a_key_that_everybody_reads_is_warned_of(self):
        certificate = tls_peers.Certificate(self.directory, "mx")
        self.backstay.settings["tls"] = certificate.settings()
        self.backstay.write_config()
        os.chmod(certificate.key, 0o600)
        self.assertNotIn("chmod", self.backstay.run("--check").stderr)
        os.chmod(certificate.key, 0o644)
        advice = f"everybody read this private key: give it to the group of the daemon's user"
        self.assert_warned(advice)
        self.hang_up(advice)
        os.chmod(certificate.key, 0o600)
        os.chmod(self.path, 0o666)
        self.hang_up(f"others than its owner may write it: chmod go-w {self.path}")

    def test_addresses_that_cannot_stand_side_by_side_are_refused_at_once(self):
        port = self.backstay.port
        self.backstay.settings["smtp"]["listen"] = [f"0.0.0.0:{port}", f"127.0.0.1:{port}"]
        self.backstay.write_config()
        self.assert_refused(f"smtp.listen names 0.0.0.0:{port} and 127.0.0.1:{port}")

    def test_want_of_memory_is_said_in_one_line(self):
        plain = harness.plain_binary("backstayd")
        if plain is None:
            self.skipTest("a sanitizer has its own allocator")
        self.backstay.binary = plain
        self.backstay.limits = ["prlimit", f"--as={MEMORY}", "--core=0"]
        done = self.backstay.run("--check")
        self.assertEqual(done.returncode, 0, done)
        users = os.path.join(self.backstay.directory, "users")
        with open(users, "wb") as file:
            file.truncate(2 * MEMORY)  # a hole: no disk is wanted
        self.backstay.settings["domain"][0]["recipients"] = f"file:{users}"
        self.backstay.write_config()
        done = self.backstay.run("--check")
        self.assertEqual(done.returncode, -signal.SIGABRT, done)
        self.assertRegex(done.stderr, r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 error "
                         rf"out of memory: .*_AS \(LimitAS, ulimit -v\) {MEMORY} bytes, .*\n$")


if __name__ == "__main__":
    unittest.main(verbosity=2)

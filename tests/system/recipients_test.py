#!/usr/bin/env python3
# tests/system/recipients_test.py -- recipients = "verify" with a real primary: asked once, kept over
# kills, taught by the operator; and what a slow primary costs.
import json
import os
import signal
import subprocess
import time
import unittest

import harness
import sinks
import wire


class Recipients(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.known = {"known@example.com"}
        self.slow = 0
        self.asked = []
        self.sink = self.managed(sinks.RecordingSink(script=self.answer))
        self.sink.up()
        self.backstay = self.daemon(self.sink.port, {"smtp": {"shards": 2}})
        self.backstay.settings["domain"][0]["recipients"] = "verify"
        self.backstay.write_config()
        self.backstay.start()

    def answer(self, verb, argument, _session):
        if verb != "RCPT":
            return None
        address = sinks.address(argument)
        self.asked.append(address)
        if self.slow:
            time.sleep(self.slow)
        return None if address.lower() in self.known else b"550 5.1.1 nobody"

    def rcpt(self, *addresses):
        """The codes that each gets, all sent at once."""
        with wire.Wire(self.backstay.port, seconds=20) as client:
            client.hello()
            client.command(b"MAIL FROM:<s@load.test>")
            client.send(b"".join(b"RCPT TO:<%s>\r\n" % address.encode() for address in addresses))
            return [client.reply()[:9].decode() for _ in addresses]

    def verb(self, *arguments, stdin=None):
        return subprocess.run(
            [harness.binary("backstay"), "--endpoint", self.backstay.settings["admin"]["socket"],
             "recipients", *arguments], input=stdin, capture_output=True, text=True, timeout=60,
            check=True).stdout

    def states(self, *addresses):
        lines = self.verb("list", "--json", *addresses).splitlines()
        return {row["address"]: row["state"] for row in map(json.loads, lines)}

    def test_the_primary_is_asked_once_by_all_shards(self):
        for _ in range(8):  # connections of both shards
            self.assertEqual(self.rcpt("known@example.com", "no@example.com",
                                       "postmaster@example.com"),
                             ["250 2.1.5", "550 5.1.1", "250 2.1.5"])
        self.assertLessEqual(self.asked.count("known@example.com"), 2)
        self.assertLessEqual(self.asked.count("no@example.com"), 2)
        self.assertEqual(self.states("known@example.com", "no@example.com", "x@example.com"),
                         {"known@example.com": "known", "no@example.com": "refused",
                          "x@example.com": "unknown"})

    def test_what_is_known_survives_a_kill_and_serves_while_the_primary_is_down(self):
        self.rcpt("known@example.com", "no@example.com")
        time.sleep(2.5)
        self.backstay.kill()
        self.sink.down(abrupt=True)
        self.backstay.settings["smtp"]["shards"] = 1
        self.backstay.write_config()
        self.backstay.start()
        self.assertEqual(self.rcpt("known@example.com", "no@example.com", "new@example.com"),
                         ["250 2.1.5", "550 5.1.1", "451 4.1.1"])

    def test_what_is_delivered_is_known(self):
        self.known.add("late@example.com")
        wire.send_message(self.backstay.port, b"\r\nx\r\n", recipient=b"late@example.com")
        self.sink.wait_for(1, 10)
        self.verb("forget", "late@example.com", "--yes")
        wire.send_message(self.backstay.port, b"\r\nx\r\n", recipient=b"late@example.com")
        self.sink.wait_for(2, 10)
        harness.wait_until(lambda: self.states("late@example.com") ==
                           {"late@example.com": "known"}, 5, "learned")

    def test_the_operator_teaches_and_forgets(self):
        path = os.path.join(self.directory, "list")
        with open(path, "w", encoding="utf-8") as file:
            file.write("# ours\n" + "".join(f"User{n}@example.com\r\n" for n in range(20000)))
        self.assertEqual(self.verb("import", path), "imported: 20,000\n")
        self.sink.down(abrupt=True)
        self.assertEqual(self.rcpt("user7@example.com", "USER19999@example.com"),
                         ["250 2.1.5"] * 2)
        rows = {row["domain"]: row for row in map(json.loads,
                                                  self.verb("list", "--json").splitlines())}
        self.assertEqual(rows["example.com"]["known"], 20000)
        self.assertLess(rows[""]["bytes"], 20000 * 16 + 64 * 2048)
        self.assert_forgets_when_sure("1", "user7@example.com", "nobody@example.com")
        self.assertEqual(self.states("user7@example.com"), {"user7@example.com": "unknown"})
        self.assert_forgets_when_sure("19,999", "--domain", "example.com")
        self.assertIn("0 known", self.verb("list"))

    def assert_forgets_when_sure(self, count, *what):
        before = self.verb("list")
        with self.assertRaises(subprocess.CalledProcessError) as refused:  # there is no terminal
            self.verb("forget", *what)
        self.assertEqual(refused.exception.returncode, 64)
        self.assertIn(f"forget {count} recipients? Say --yes", refused.exception.stderr)
        self.assertEqual(self.verb("forget", *what, "--dry-run"),
                         f"would forget: {count} recipients\n")
        self.assertEqual(self.verb("list"), before)
        self.assertEqual(self.verb("forget", *what, "--yes"), f"forget: {count} recipients\n")

    def test_a_half_written_file_of_recipients_changes_nothing(self):
        path = os.path.join(self.directory, "recipients")
        self.backstay.settings["domain"][0]["recipients"] = f"file:{path}"
        self.backstay.write_config()

        def write(lines, end="\n"):
            with open(path, "w", encoding="utf-8") as file:
                file.write("\n".join(f"user{n}@example.com" for n in range(lines)) + end)

        def reload(lines, says, end="\n"):
            write(lines, end)
            before = self.backstay.log().count(says)
            self.backstay.process.send_signal(signal.SIGHUP)
            harness.wait_until(lambda: self.backstay.log().count(says) > before, 10,
                               self.backstay.log)
        reload(1000, "configuration reloaded")
        self.assertEqual(self.rcpt("user999@example.com", "other@example.com"),
                         ["250 2.1.5", "550 5.1.1"])
        reload(0, "no address of example.com in it")
        reload(400, "it looks half written")
        self.assertEqual(self.rcpt("user999@example.com", "other@example.com"),
                         ["250 2.1.5", "550 5.1.1"])
        reload(990, "it looks cut off", end="")
        reload(800, "it looks half written")
        self.assertEqual(self.rcpt("user999@example.com"), ["250 2.1.5"])
        reload(980, "configuration reloaded")
        self.assertEqual(self.rcpt("user999@example.com", "user979@example.com"),
                         ["550 5.1.1", "250 2.1.5"])
        # Who has lost a fifth of the users says so.
        write(780)
        endpoint = self.backstay.settings["admin"]["socket"]
        command = [harness.binary("backstay"), "--endpoint", endpoint, "reload"]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("backstay reload --force", refused.stderr)
        self.assertEqual(self.rcpt("user979@example.com"), ["250 2.1.5"])
        subprocess.run(command + ["--force"], capture_output=True, timeout=60, check=True)
        self.assertEqual(self.rcpt("user979@example.com", "user779@example.com"),
                         ["550 5.1.1", "250 2.1.5"])

    def test_a_slow_primary_holds_up_nobody_else(self):
        self.rcpt("known@example.com")
        self.slow = 7
        began = time.monotonic()
        with wire.Wire(self.backstay.port, seconds=20) as client:
            client.hello()
            client.command(b"MAIL FROM:<s@load.test>")
            client.send(b"RCPT TO:<new@example.com>\r\nRCPT TO:<known@example.com>\r\n")
            time.sleep(0.5)
            self.assertEqual(self.rcpt("known@example.com"), ["250 2.1.5"])
            self.assertLess(time.monotonic() - began, 3)
            self.assertEqual([client.reply()[:9] for _ in range(2)],
                             [b"451 4.1.1", b"250 2.1.5"])
        self.assertGreater(time.monotonic() - began, 4)
        self.assertLess(time.monotonic() - began, 7)


if __name__ == "__main__":
    unittest.main()

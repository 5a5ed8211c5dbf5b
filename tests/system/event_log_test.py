#!/usr/bin/env python3
# tests/system/event_log_test.py -- the log of messages of a real daemon: rotated, blocked, full,
# missing, on standard error.
import json
import os
import select
import signal
import subprocess
import time
import unittest

import harness
import sinks
import wire


class EventLog(harness.SystemTest):
    def start(self, path, shards=2):
        self.sink = self.managed(sinks.RecordingSink())
        self.sink.up()
        self.path = path
        return self.daemon(self.sink.port, {"log": {"file": path},
                                            "smtp": {"shards": shards}}).start()

    def events(self, path=None):
        with open(path or self.path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def wait_event(self, kind, count=1, path=None, seconds=10):
        def there():
            return os.path.exists(path or self.path) and \
                [event["event"] for event in self.events(path)].count(kind) >= count
        harness.wait_until(there, seconds, lambda: f"{kind} in {self.events(path)}")

    def send(self, backstay, count=1):
        return [wire.send_message(backstay.port, b"\r\nx\r\n") for _ in range(count)]

    def test_a_message_is_told_from_client_to_primary(self):
        backstay = self.start(os.path.join(self.directory, "mail.log"))
        queue_id, = self.send(backstay)
        self.wait_event("delivered")
        queued, delivered = [event for event in self.events() if event.get("id") == queue_id]
        self.assertEqual((queued["event"], queued["client"], queued["from"], queued["to"],
                          queued["protocol"]),
                         ("queued", "127.0.0.1", "s@load.test", ["a@example.com"], "ESMTP"))
        self.assertEqual((delivered["relay"], delivered["reply"]),
                         (f"127.0.0.1:{self.sink.port}", "250 2.0.0 taken"))
        self.assertAlmostEqual(delivered["delay"], sum(delivered["delays"]), delta=0.003)
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o640)

    def test_rotation_by_sighup_loses_no_line(self):
        backstay = self.start(os.path.join(self.directory, "mail.log"))
        self.send(backstay, 20)
        os.rename(self.path, self.path + ".1")
        self.send(backstay, 20)
        backstay.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: os.path.exists(self.path), 10, "a new file")
        self.send(backstay, 20)
        self.sink.wait_for(60, 20)
        self.assertEqual(backstay.stop(), 0)
        both = self.events(self.path + ".1") + self.events()
        self.assertEqual([event["event"] for event in both].count("queued"), 60)
        self.assertEqual([event["event"] for event in both].count("delivered"), 60)
        self.assertGreaterEqual(len(self.events()), 20)

    def test_a_pipe_that_nobody_reads_stops_no_mail(self):
        pipe = os.path.join(self.directory, "pipe")
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        backstay = self.start(pipe, shards=1)  # a pipe mixes the long writes of several
        began = time.monotonic()
        self.send(backstay, 600)  # more lines than a pipe holds
        self.sink.wait_for(600, 30)
        self.assertLess(time.monotonic() - began, 30)
        text = b""
        while select.select([reader], [], [], 1)[0]:
            text += os.read(reader, 65536)
        events = [json.loads(line) for line in text.splitlines()]
        self.assertEqual([event["event"] for event in events].count("queued"), 600)
        self.assertEqual(backstay.stop(), 0)

    def test_a_pipe_without_a_reader_holds_up_neither_start_nor_end(self):
        pipe = os.path.join(self.directory, "pipe")
        os.mkfifo(pipe)
        backstay = self.start(pipe)
        self.send(backstay, 3)
        self.sink.wait_for(3, 10)
        began = time.monotonic()
        self.assertEqual(backstay.stop(), 0)
        self.assertLess(time.monotonic() - began, 5)

    def test_a_missing_directory_is_told_and_waited_for(self):
        folder = os.path.join(self.directory, "later")
        backstay = self.start(os.path.join(folder, "mail.log"))
        self.send(backstay)
        harness.wait_until(lambda: "mail goes on" in backstay.log(), 5, backstay.log)
        os.mkdir(folder)
        self.wait_event("queued")

    def test_a_full_disk_stops_no_mail_and_the_lost_lines_are_counted(self):
        backstay = self.start("/dev/full")
        self.send(backstay, 5)
        self.sink.wait_for(5, 10)
        harness.wait_until(lambda: "mail goes on" in backstay.log(), 5, backstay.log)
        self.assertEqual(backstay.stop(), 0)

    def test_standard_error_may_be_closed(self):
        backstay = self.start(os.path.join(self.directory, "mail.log"))
        self.send(backstay)
        self.assertEqual(backstay.stop(), 0)
        backstay.settings["log"]["file"] = ""
        backstay.write_config()
        backstay.process = subprocess.Popen(["sh", "-c", 'exec "$@" 2>&-', "sh",
                                             *backstay.command()])
        backstay.wait_banner()
        self.send(backstay)
        self.sink.wait_for(2, 10)
        self.assertEqual(backstay.stop(), 0)

    def test_without_a_file_lines_go_to_standard_error(self):
        backstay = self.start("")
        self.send(backstay, 3)
        self.sink.wait_for(3, 10)
        self.assertEqual(backstay.stop(), 0)
        lines = [line for line in backstay.log().splitlines() if line.startswith("{")]
        self.assertEqual([json.loads(line)["event"] for line in lines].count("delivered"), 3)
        self.assertIn("backstayd serves 1 domains", backstay.log())


if __name__ == "__main__":
    unittest.main()

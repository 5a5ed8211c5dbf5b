#!/usr/bin/env python3
# tests/system/load_test.py -- backstay-load and backstay-sink against the daemon and others' programs.
import json
import os
import signal
import subprocess
import unittest

import harness
import peers
import sinks
import tls_peers


def run_load(port, *flags):
    done = subprocess.run([harness.binary("backstay-load"), f"127.0.0.1:{port}", "--json", "-",
                           "--quiet", *flags], capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL, check=False)
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def lines(path):
    with open(path, encoding="ascii") as file:
        return sorted(file)


class Sink:
    def __init__(self, directory, *flags, port=None):
        self.port = port or harness.free_port()
        self.ledger = os.path.join(directory, f"{self.port}.ledger")
        self.json = os.path.join(directory, f"{self.port}.json")
        self.process = subprocess.Popen(
            [harness.binary("backstay-sink"), "--listen", f"127.0.0.1:{self.port}", "--ledger",
             self.ledger, "--json", self.json, *flags], stdin=subprocess.DEVNULL)
        peers.wait_port(self.port, self.process)

    def result(self, number=signal.SIGUSR1):
        if os.path.exists(self.json):
            os.remove(self.json)
        self.process.send_signal(number)
        harness.wait_until(lambda: os.path.exists(self.json), 20, "a result")
        with open(self.json, encoding="utf-8") as file:
            return json.load(file)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)


class Load(harness.SystemTest):
    def sink(self, *flags, port=None):
        return self.managed(Sink(self.directory, *flags, port=port))

    def test_what_was_acknowledged_arrives_once_and_unaltered(self):
        port = harness.free_port()
        backstay = self.daemon(port).start()
        ledger = os.path.join(self.directory, "load.ledger")
        sent = run_load(backstay.port, "--messages", "500", "--connections", "20", "--ledger",
                        ledger, "--size", "1KiB-9KiB:9,400KiB", "--recipients", "2",
                        "--pipelining", "chained", "--sources", "7")
        self.assertEqual(sent["messages"]["acknowledged"], 500, sent)
        self.assertEqual(sent["latency_us"]["count"], 500)
        sink = self.sink("--rule", "rcpt 5% 450 4.2.1 try later", "--rule", "content 1% cut",
                         port=port)
        harness.wait_until(lambda: sink.result()["recipients"] >= 900, 30,
                           lambda: str(sink.result()))
        seen = sink.result(signal.SIGTERM)
        self.assertEqual((seen["damaged"], seen["violations"], seen["unstamped"]), (0, 0, 0), seen)
        self.assertGreater(seen["refusals"].get("rcpt 450", 0), 0, seen)
        self.assertEqual(seen["duplicates"], 0, seen)
        self.assertLessEqual(set(lines(sink.ledger)), set(lines(ledger)))

    def test_daemon_is_met_from_many_addresses_in_every_manner(self):
        sink = self.managed(sinks.RecordingSink()).up()
        backstay = self.daemon(sink.port).start()
        sent = run_load(backstay.port, "--rate", "200", "--poisson", "--duration", "2s",
                        "--connections", "30", "--per-connection", "3", "--sources", "9",
                        "--slow-drip", "3", "--no-read", "2", "--idle", "4", "--cut", "10")
        messages = sent["messages"]
        self.assertGreater(messages["acknowledged"], 200, sent)
        self.assertGreater(messages["cut"], 5, sent)
        self.assertEqual((messages["refused"], messages["lost"]), (0, 0), sent)
        self.assertGreaterEqual(sent["nuisances"]["connections"], 5, sent)
        sink.wait_for(messages["acknowledged"], 20)
        clients = {m.content.split(b"[", 1)[1].split(b"]")[0] for m in sink.messages}
        self.assertEqual(len(clients), 9, clients)

    def test_tls_on_both_sides(self):
        certificate = tls_peers.Certificate(self.directory, "mx")
        backstay = self.daemon(harness.free_port(), {"tls": certificate.settings()}).start()
        sent = run_load(backstay.port, "--messages", "100", "--connections", "5", "--tls")
        self.assertEqual(sent["messages"]["acknowledged"], 100, sent)
        sink = self.sink("--certificate", certificate.path, "--private-key", certificate.key)
        sent = run_load(sink.port, "--messages", "100", "--connections", "5", "--tls")
        self.assertEqual(sent["messages"]["acknowledged"], 100, sent)
        self.assertEqual(sink.result()["secure"], 5)

    def test_others_programs(self):
        sink = self.sink()
        peers.smtp_source(sink.port, "-m", "50", "-s", "5")
        self.assertEqual(sink.result()["taken"], 50)
        port = harness.free_port()
        self.managed(peers.SmtpSink(port))
        sent = run_load(port, "--messages", "200", "--connections", "10",
                        "--pipelining", "chained")
        self.assertEqual(sent["messages"]["acknowledged"], 200, sent)

    def test_real_messages_arrive_as_they_are(self):
        folder = os.path.join(self.directory, "mail")
        os.mkdir(folder)
        contents = [b"Subject: %d\n\n.dot\n..\n%s\n" % (n, b"x" * n * 100) for n in range(30)]
        for number, content in enumerate(contents):
            with open(os.path.join(folder, f"{number:02}.eml"), "wb") as file:
                file.write(content)
        sink = self.sink()
        sent = run_load(sink.port, "--replay", folder, "--messages", "60", "--connections", "3")
        self.assertEqual(sent["messages"]["acknowledged"], 60, sent)
        seen = sink.result()
        self.assertEqual((seen["intact"], seen["damaged"]), (60, 0), seen)

    def test_script_file_and_usage(self):
        script = os.path.join(self.directory, "script.toml")
        with open(script, "w", encoding="utf-8") as file:
            file.write('rule = ["mail 421 4.3.2 going away", "connect delay 100ms"]\nseed = 5\n')
        sink = self.sink("--script", script)
        sent = run_load(sink.port, "--messages", "10", "--duration", "1s", "--per-connection", "1")
        self.assertEqual(sent["messages"]["acknowledged"], 0, sent)
        self.assertEqual(set(sent["errors"]), {"mail 421"}, sent)
        for program, flags in (("backstay-load", ["127.0.0.1:1"]),
                               ("backstay-load", ["nowhere", "--messages", "1"]),
                               ("backstay-load", ["127.0.0.1:1", "--messages", "1", "--size", "x"]),
                               ("backstay-sink", ["--rule", "lunch delay 1h"]),
                               ("backstay-sink", ["--outage", "2s 1s"])):
            done = subprocess.run([harness.binary(program), *flags], capture_output=True,
                                  timeout=20, check=False)
            self.assertEqual(done.returncode, 64, (program, flags, done.stderr))


if __name__ == "__main__":
    unittest.main(verbosity=2)

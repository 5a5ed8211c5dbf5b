#!/usr/bin/env python3
# tests/system/load_test.py -- backstay-load and backstay-sink against the daemon and others' programs.
import json
import os
import signal
import subprocess
import time
import unittest

import harness
import peers
import sinks
import tls_peers


def command(port, *flags):
    return [harness.binary("backstay-load"), f"127.0.0.1:{port}", "--json", "-", "--quiet", *flags]


def run_load(port, *flags):
    done = subprocess.run(command(port, *flags), capture_output=True, text=True, timeout=120,
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
        self.assertEqual((sent["options"]["replay"], sent["options"]["size"]), (folder, None))
        seen = sink.result()
        self.assertEqual((seen["intact"], seen["damaged"]), (60, 0), seen)

    def test_results_say_how_they_were_made(self):
        rules = ["rcpt only nobody 550 5.1.1 no", "end delay 1ms"]
        sink = self.sink("--rule", rules[0], "--rule", rules[1], "--seed", "7")
        sent = run_load(sink.port, "--messages", "20", "--seed", "3", "--per-connection", "5",
                        "--mailboxes", "9", "--warm-up", "0s")
        self.assertEqual(sent["messages"] | {"offered": 20, "answered": 20}, sent["messages"])
        options = sent["options"]
        wanted = {"seed": 3, "per_connection": 5, "mailboxes": 9, "size": "4KiB", "messages": 20,
                  "duration": None, "warm_up": "0s", "domains": "example.com", "timeout": "60s",
                  "sources": 0, "idle": 0, "slow_drip": 0, "no_read": 0, "cut": 0, "replay": None,
                  "poisson": False, "connecting": 0, "greet_only": False}
        self.assertEqual(options | wanted, options)
        seen = sink.result()["options"]
        self.assertEqual((seen["rules"], seen["outages"], seen["seed"]), (rules, [], 7))
        for found in (options, seen):
            self.assertRegex(found["started"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            self.assertRegex(found["version"], r"^\d")

    def test_a_server_that_is_killed_is_no_success(self):
        sink = self.sink("--rule", "end delay 10ms")
        load = subprocess.Popen(command(sink.port, "--duration", "3s", "--connections", "4"),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        sink.process.kill()
        found = json.loads(load.communicate(timeout=60)[0])
        self.assertEqual(load.returncode, 1, found)
        self.assertTrue(found["server_gone"], found)
        self.assertGreater(found["messages"]["acknowledged"], 0, found)
        self.assertGreaterEqual(found["seconds"], 3, found)

    def test_a_server_that_greets_nobody_is_given_up(self):
        refusing = self.sink("--rule", "connect 554 5.3.2 no")
        plain = self.sink()
        wanted = {"connect lost: connection refused": (harness.free_port(),),
                  "greeting 554": (refusing.port,), "tls 502": (plain.port, "--tls")}
        runs = {last: subprocess.Popen(command(*where, "--messages", "10", "--connections", "3"),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, text=True)
                for last, where in wanted.items()}
        try:
            for last, load in runs.items():
                result, complaint = load.communicate(timeout=60)
                self.assertEqual(load.returncode, 1, complaint)
                self.assertRegex(complaint, "gave up: no session .* for 10s, .*; the last: " + last)
                found = json.loads(result)
                self.assertTrue(found["gave_up"], found)
                self.assertEqual(found["messages"]["acknowledged"], 0, found)
        finally:
            for load in runs.values():
                load.kill()  # one that went on for ever
                load.wait()

    def test_messages_of_the_warm_up_do_not_count(self):
        sink = self.sink("--rule", "end delay 20ms")
        sent = run_load(sink.port, "--messages", "100", "--connections", "5", "--warm-up", "1s")
        self.assertEqual(sent["messages"]["acknowledged"], 100, sent)
        self.assertGreater(sink.result()["taken"], 150)

    def test_files_that_cannot_be_read(self):
        loop = os.path.join(self.directory, "loop")
        os.symlink("loop", loop)
        for path, why in ((loop, "Too many levels of symbolic links"),
                          ("x" * 300, "File name too long"), ("absent", "No such file")):
            self.check_exit(73, f"cannot read {path}: {why}", "backstay-load", "127.0.0.1:1",
                            "--messages", "1", "--replay", path)
            self.check_exit(73, f"cannot read the script {path}", "backstay-sink", "--script", path)

    def test_a_ledger_that_cannot_be_written(self):
        sink = self.sink()
        self.check_exit(74, "backstay-load: cannot write the ledger /dev/full: No space left",
                        "backstay-load", f"127.0.0.1:{sink.port}", "--messages", "3", "--ledger",
                        "/dev/full")

    def test_programs_that_fill_and_measure(self):
        spool = os.path.join(self.directory, "filled")
        for flags in (["--messages", "-5"], ["--messages", "many"], ["--domains", "0"],
                      ["--bytes", "-1"], ["--shards", "0"], ["--segment-size", "-5"], ["--what"]):
            self.check_measuring("backstay-fill", "--spool", spool, *flags)
        self.check_measuring("backstay-fill")
        self.assertFalse(os.path.exists(spool))
        for seconds in ("0", "-1", "nan", "inf", "soon"):
            self.check_measuring("backstay-tls-primitives", "--seconds", seconds)

    def test_a_script_has_known_keys(self):
        script = os.path.join(self.directory, "odd.toml")
        for text, what in (("seed = 1\nbogus = 2\n", 'there is no key "bogus"'),
                           ("[odd]\nseed = 1\n", 'there is no section "odd"'),
                           ("help = true\n", "help: ")):
            with open(script, "w", encoding="utf-8") as file:
                file.write(text)
            self.check_exit(64, f"the script {script}: {what}", "backstay-sink", "--script", script)

    def test_script_file_and_usage(self):
        script = os.path.join(self.directory, "script.toml")
        with open(script, "w", encoding="utf-8") as file:
            file.write('rule = ["mail 421 4.3.2 going away", "connect delay 100ms"]\nseed = 5\n')
        sink = self.sink("--script", script)
        sent = run_load(sink.port, "--messages", "10", "--duration", "1s", "--per-connection", "1")
        self.assertEqual(sent["messages"]["acknowledged"], 0, sent)
        self.assertEqual(set(sent["errors"]), {"mail 421"}, sent)
        for flags in (["--rule", "lunch delay 1h"], ["--outage", "2s 1s"],
                      ["--outage", "10s 20s every 60s trailing"], ["--max-connections", "-1"]):
            self.check_usage("backstay-sink", *flags)
        self.check_usage("backstay-load", "127.0.0.1:1")
        self.check_usage("backstay-load", "nowhere", "--messages", "1")
        self.check_usage("backstay-load", "127.0.0.1:1", "--greet-only", "--messages", "1")
        for name, value in (("size", "x"), ("rate", "0"), ("rate", "inf"), ("domains", ""),
                            ("domains", "a,,b"), ("connections", "-1"), ("connections", "0"),
                            ("idle", "-1"), ("slow-drip", "-1"), ("no-read", "-1"),
                            ("per-connection", "-1"), ("seed", "-1"), ("timeout", "inf")):
            self.check_usage("backstay-load", "127.0.0.1:1", "--messages", "1", f"--{name}", value)
        self.check_usage("backstay-load", "127.0.0.1:1", "--messages", "-1")
        self.check_usage("backstay-load", "127.0.0.1:1", "--duration", "1s", "--greet-only",
                         "--rate", "5")

    def check_usage(self, program, *flags):
        done = subprocess.run([harness.binary(program), *flags], capture_output=True, text=True,
                              timeout=20, check=False)
        self.assertEqual(done.returncode, 64, (program, flags, done.stderr))
        self.assertTrue(5 < len(done.stderr) < 300, (program, flags, done.stderr))

    def check_measuring(self, program, *flags):
        if os.path.exists(os.path.join(harness.BIN, program)):  # nobody measures with sanitizers
            self.check_usage(program, *flags)

    def check_exit(self, code, said, program, *flags):
        done = subprocess.run([harness.binary(program), *flags], capture_output=True, text=True,
                              timeout=20, check=False)
        self.assertEqual(done.returncode, code, (program, flags, done.stderr))
        self.assertIn(said, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# tests/system/signals_test.py -- how the daemon ends, reloads and refuses to start.
import ctypes
import hashlib
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import time
import unittest

import harness
import loader
import sinks
import wire

CONTENT = b"Subject: signals\r\n\r\nbody\r\n"


def make(number):
    return loader.Outgoing("s@load.test", [f"n{number}@example.com"],
                           b"Subject: %d\r\n\r\n" % number + b"text\r\n" * 300)


class Ending(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.sink = self.managed(sinks.RecordingSink())
        self.backstay = self.daemon(self.sink.port).start()

    def test_sigterm_under_load_loses_nothing(self):
        load = loader.Load(self.backstay.port, 30, make).start()
        idle = self.managed(wire.Wire(self.backstay.port))
        time.sleep(1)
        begin = time.monotonic()
        self.backstay.terminate()
        self.assertTrue(idle.reply().startswith(b"421 4.3.2"))
        self.assertEqual(idle.rest(), b"")
        self.assertEqual(self.backstay.wait(10), 0)
        self.assertLess(time.monotonic() - begin, 7)
        load.stop()
        print(f"{load.summary()}, {len(load.goodbyes)} goodbyes")
        self.assertGreater(len(load.acknowledged), 100)
        self.assertEqual(load.errors, [])
        self.assertGreater(len(load.goodbyes), 0)
        self.sink.up()
        self.backstay.start()
        self.sink.wait_for(len(load.acknowledged), 30)
        arrived = {m.recipients[0] for m in self.sink.messages}
        self.assertLessEqual({f"n{n}@example.com" for n in load.acknowledged}, arrived)

    def test_open_data_may_finish(self):
        with wire.Wire(self.backstay.port) as client:
            client.hello()
            client.open_data()
            self.backstay.terminate()
            time.sleep(1)
            self.assertIsNone(self.backstay.process.poll())
            with self.assertRaises(OSError):
                wire.Wire(self.backstay.port, seconds=1)
            reply = client.command(CONTENT + b".")
            self.assertRegex(reply, harness.QUEUED)
            self.assertEqual(client.rest(), b"421 4.3.2 Service is shutting down\r\n")
        self.assertEqual(self.backstay.wait(3), 0)

    def test_data_open_for_longer_than_five_seconds_is_refused(self):
        with wire.Wire(self.backstay.port) as client:
            client.hello()
            client.open_data()
            client.send(CONTENT)
            begin = time.monotonic()
            self.backstay.terminate()
            self.assertTrue(client.reply().startswith(b"421"))
            self.assertGreater(time.monotonic() - begin, 4)
        self.assertEqual(self.backstay.wait(3), 0)
        self.sink.up()
        self.backstay.start()
        time.sleep(2)
        self.assertEqual(self.sink.messages, [])

    def test_second_sigterm_ends_at_once(self):
        wire.send_message(self.backstay.port, CONTENT)
        with wire.Wire(self.backstay.port) as client:
            client.hello()
            client.open_data()
            self.backstay.terminate()
            time.sleep(0.5)
            self.assertIsNone(self.backstay.process.poll())
            self.backstay.terminate()
            self.assertEqual(self.backstay.wait(1), 0)
        self.sink.up()
        self.backstay.start()
        self.sink.wait_for(1, 5)


    def test_client_that_stays_after_the_goodbye_does_not_hold_the_end(self):
        clients = [self.managed(wire.Wire(self.backstay.port)) for _ in range(20)]
        begin = time.monotonic()
        self.backstay.terminate()
        for client in clients:
            self.assertTrue(client.reply().startswith(b"421 4.3.2"))
        for client in clients:  # none of them hangs up, and half of them talk on
            client.send(b"NOOP\r\n" * 1000 if client in clients[::2] else b"")
        self.assertEqual(self.backstay.wait(10), 0)
        self.assertLess(time.monotonic() - begin, 4)

    def begin_message(self, client):
        client.send(b"MAIL FROM:<s@load.test>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n")
        return [client.reply() for _ in range(3)]

    def test_write_beyond_the_file_size_limit_is_a_refusal(self):
        wire.send_message(self.backstay.port, CONTENT)
        pid, unlimited = self.backstay.process.pid, resource.RLIM_INFINITY
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, unlimited))  # of the log's file too
        with wire.Wire(self.backstay.port) as client:
            client.hello()
            replies = self.begin_message(client)
            if replies[2].startswith(b"354"):
                replies = [client.command(CONTENT * 100 + b".")]
            self.assertRegex(replies[0], rb"^45[12] ")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))

        def is_taken():
            with wire.Wire(self.backstay.port) as client:
                client.hello()
                return self.begin_message(client)[2].startswith(b"354") and harness.QUEUED.match(
                    client.command(CONTENT + b"."))
        harness.wait_until(is_taken, 10, self.backstay.log)
        self.sink.up()
        self.sink.wait_for(2, 10)
        self.assertEqual(len(self.sink.messages), 2)


class Reload(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.sink = self.managed(sinks.RecordingSink())
        self.backstay = self.daemon(self.sink.port).start()

    def banner(self):
        with wire.Wire(self.backstay.port) as client:
            return client.banner

    def hang_up(self, done):
        lines = self.backstay.log().count("\n")
        self.backstay.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: done(self.backstay.log().split("\n", lines)[-1]), 5,
                           self.backstay.log)

    def test_good_file_takes_over_and_open_sessions_go_on(self):
        with wire.Wire(self.backstay.port) as client:
            client.hello()
            client.open_data()
            self.backstay.settings["hostname"] = "renamed.backstay.test"
            self.backstay.settings["domain"].append(
                {"name": "second.example", "primary": [f"127.0.0.1:{self.sink.port}"]})
            self.backstay.write_config()
            self.hang_up(lambda log: "reloaded" in log)
            self.assertRegex(client.command(CONTENT + b"."), harness.QUEUED)
        self.assertIn(b"renamed.backstay.test", self.banner())
        wire.send_message(self.backstay.port, CONTENT, recipient=b"b@second.example")
        self.sink.up()
        self.sink.wait_for(2, 5)

    def test_bad_file_changes_nothing(self):
        self.backstay.settings["hostname"] = "renamed.backstay.test"
        self.backstay.settings["smtp"]["max_mesage_size"] = "1MiB"
        self.backstay.write_config()
        self.hang_up(lambda log: "max_mesage_size" in log and "backstay.toml:" in log)
        self.assertIn(harness.HOSTNAME.encode(), self.banner())
        wire.send_message(self.backstay.port, CONTENT)
        os.unlink(self.backstay.config_path)
        self.hang_up(lambda log: "backstay.toml" in log)
        self.assertIn(harness.HOSTNAME.encode(), self.banner())

    def test_what_is_no_file_is_not_waited_for(self):
        domain = self.backstay.settings["domain"][0]
        domain["recipients"] = "file:" + os.path.join(self.backstay.directory, "users")
        os.mkfifo(domain["recipients"][5:])
        self.backstay.write_config()
        self.hang_up(lambda log: "reload refused" in log and "is no regular file" in log)
        domain["recipients"] = "any"
        for path in (os.path.join(self.backstay.directory, "users"), self.backstay.directory):
            self.backstay.settings["tls"] = {"certificate": path, "private_key": path}
            self.backstay.write_config()
            self.hang_up(lambda log, path=path: "reload refused" in log and (
                f": tls.certificate: {path}: is no regular file; give the path of a PEM file" in log))
        os.unlink(self.backstay.config_path)
        os.mkfifo(self.backstay.config_path)
        self.hang_up(lambda log: "reload refused" in log and "is no regular file" in log)
        wire.send_message(self.backstay.port, CONTENT)
        self.assertEqual(self.backstay.stop(), 0)

    def test_mail_that_waits_is_not_given_up_by_a_slip(self):
        for _ in range(3):
            wire.send_message(self.backstay.port, CONTENT)
        time.sleep(1)
        self.backstay.settings["retry"] = {"expire_after": "1s"}
        self.backstay.write_config()
        self.hang_up(lambda log: "reload refused" in log and "give up 3 queued recipients" in log)
        command = [harness.binary("backstay"), "--endpoint",
                   self.backstay.settings["admin"]["socket"], "reload"]
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(b"give up 3 queued recipients", done.stderr)
        done = subprocess.run([*command, "--force"], capture_output=True, timeout=20, check=False)
        self.assertEqual(done.returncode, 0, done)

    def test_storm_of_reloads_under_load(self):
        load = loader.Load(self.backstay.port, 10, make).start()
        for round in range(50):
            if round % 10 == 0:
                self.backstay.settings["smtp"]["max_recipients"] = 100 + round
                self.backstay.write_config()
            self.backstay.process.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        load.stop()
        self.assertEqual((load.refused, load.goodbyes, load.errors), ({}, [], []))
        self.assertGreater(len(load.acknowledged), 100)
        self.sink.up()
        self.sink.wait_for(len(load.acknowledged), 30)


def picture(directory):
    """Every name, size, time and byte below a directory."""
    files = []
    for folder, _, names in sorted(os.walk(directory)):
        for name in sorted(names):
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            files.append((path, os.stat(path).st_mtime_ns, digest))
    return files


def forbid_io_uring():
    """A seccomp filter as container runtimes have it: io_uring_setup gives EPERM."""
    libc = ctypes.CDLL(None, use_errno=True)
    instructions = [(0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x00050001),
                    (0x06, 0, 0, 0x7fff0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in instructions))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(instructions),
                                                      ctypes.addressof(code)))
    no_new_privileges, seccomp, filter_mode = 38, 22, 2
    if libc.prctl(no_new_privileges, 1, 0, 0, 0) or libc.prctl(seccomp, filter_mode, program):
        raise OSError(ctypes.get_errno(), "seccomp")


class Starting(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.backstay = self.daemon(harness.free_port())

    def assert_ends(self, done, code, *texts):
        self.assertEqual(done.returncode, code, done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr)

    def test_second_daemon_on_the_spool_exits_75(self):
        self.backstay.start()
        second = self.daemon(harness.free_port(), {"spool": {"directory": self.backstay.spool}})
        self.assert_ends(second.run(), 75, self.backstay.spool)
        wire.send_message(self.backstay.port, CONTENT)

    def test_newer_spool_exits_76_and_is_not_touched(self):
        self.backstay.start()
        wire.send_message(self.backstay.port, CONTENT)
        self.assertEqual(self.backstay.stop(), 0)
        path = os.path.join(self.backstay.spool, "VERSION")
        with open(path, encoding="ascii") as file:
            text = file.read()
        version = int(re.match(r"backstay spool (\d+)\n", text)[1])
        with open(path, "w", encoding="ascii") as file:
            file.write(text.replace(f"spool {version}\n", f"spool {version + 1}\n"))
        before = picture(self.backstay.spool)
        self.assert_ends(self.backstay.run(), 76, self.backstay.spool)
        self.assertEqual(picture(self.backstay.spool), before)

    def test_spool_that_is_a_file_exits_73(self):
        with open(self.backstay.spool, "wb"):
            pass
        self.assert_ends(self.backstay.run(), 73, self.backstay.spool)

    def test_what_is_no_file_in_the_spool_is_not_waited_for(self):
        self.backstay.settings["domain"][0]["recipients"] = "verify"
        self.backstay.write_config()
        self.backstay.start()
        self.assertEqual(self.backstay.stop(), 0)
        for name in ("VERSION", "recipients/secret"):
            path = os.path.join(self.backstay.spool, name)
            with open(path, "rb") as file:
                content = file.read()
            os.unlink(path)
            os.mkfifo(path, 0o600)
            before = len(self.backstay.log())
            self.backstay.start(wait=False)

            def has_decided():
                if self.backstay.process.poll() is not None:
                    return True
                try:
                    with socket.create_connection(("127.0.0.1", self.backstay.port), 1) as client:
                        return client.recv(4) == b"220 "
                except OSError:
                    return False
            harness.wait_until(has_decided, 10, lambda name=name: f"{name}: the start hangs")
            if self.backstay.process.poll() is None:
                self.assertEqual(self.backstay.stop(), 0)
            else:
                self.assertEqual(self.backstay.wait(), 73)
                self.assertIn(name, self.backstay.log()[before:])
            os.unlink(path)
            with open(path, "wb") as file:
                file.write(content)
        self.backstay.start()

    def test_bad_configuration_exits_78_with_the_place(self):
        self.backstay.settings["smtp"]["max_mesage_size"] = "1MiB"
        self.backstay.write_config()
        with open(self.backstay.config_path, encoding="utf-8") as file:
            line = next(n for n, text in enumerate(file, 1) if "max_mesage_size" in text)
        place = f"{self.backstay.config_path}:{line}:1:"
        self.assert_ends(self.backstay.run(), 78, place, "max_message_size")
        self.assert_ends(self.backstay.run("--check"), 78, place)
        self.assertFalse(os.path.exists(self.backstay.spool))

    def test_configuration_that_is_missing_or_not_toml_exits_78(self):
        self.backstay.write_config("[smtp\nlisten = 25\n")
        self.assert_ends(self.backstay.run(), 78, f"{self.backstay.config_path}:1:")
        self.backstay.write_config("")
        self.assert_ends(self.backstay.run(), 78, "domain")
        os.unlink(self.backstay.config_path)
        self.assert_ends(self.backstay.run(), 78, self.backstay.config_path)

    def assert_names_the_port(self, port):
        second = self.daemon(harness.free_port())
        second.settings["smtp"]["listen"] = [f"127.0.0.1:{port}"]
        second.write_config()
        done = second.run()
        self.assert_ends(done, 78, f"cannot listen on 127.0.0.1:{port}", "ss -ltnp")

    def test_port_that_another_program_has_is_named(self):
        with socket.create_server(("127.0.0.1", harness.free_port())) as other:
            self.assert_names_the_port(other.getsockname()[1])

    def test_port_that_another_backstayd_has_is_not_shared_with_it(self):
        self.backstay.start()
        self.assert_names_the_port(self.backstay.port)

    def test_no_two_daemons_that_start_at_once_share_a_port(self):
        for _ in range(2):
            port = harness.free_port()
            daemons = []
            for _ in range(4):
                daemon = self.daemon(harness.free_port())
                daemon.settings["smtp"]["listen"] = [f"127.0.0.1:{port}"]
                daemon.port = port
                daemon.write_config()
                daemons.append(daemon)
            for daemon in daemons:
                daemon.start(wait=False)
            harness.wait_until(lambda: sum(d.process.poll() is None for d in daemons) < 2, 10,
                               "all but one of them to end")
            serving = [daemon for daemon in daemons if daemon.process.poll() is None]
            for daemon in daemons:
                if daemon not in serving:
                    self.assertEqual(daemon.wait(), 78)
                    self.assertIn(f"127.0.0.1:{port}", daemon.log())
            self.assertEqual(len(serving), 1)
            serving[0].wait_banner()
            wire.send_message(port, CONTENT)
            self.assertEqual(serving[0].stop(), 0)

    def test_every_mode_of_tls_is_taken_and_no_other(self):
        for value, code in (("require", 0), ("verify", 0), ("opportunistic", 0), ("off", 0),
                            ("maybe", 78)):
            self.backstay.settings["delivery"] = {"tls": value}
            self.backstay.write_config()
            self.assert_ends(self.backstay.run("--check"), code)

    def test_recipients_of_other_domains_only_exit_78(self):
        path = os.path.join(self.backstay.directory, "recipients")
        self.backstay.settings["domain"][0]["recipients"] = f"file:{path}"
        self.backstay.write_config()
        with open(path, "w", encoding="ascii") as file:
            file.write("a@other.example\nb@sub.example.com\n")
        self.assert_ends(self.backstay.run(), 78, path, "example.com")
        with open(path, "a", encoding="ascii") as file:
            file.write("A@Example.com\n")
        self.backstay.start()
        wire.send_message(self.backstay.port, CONTENT, recipient=b"a@example.com")

    def test_spool_that_is_open_to_the_world_is_warned_of(self):
        os.mkdir(self.backstay.spool)
        for mode, warned in ((0o700, False), (0o705, True)):
            os.chmod(self.backstay.spool, mode)
            self.backstay.start()
            self.assertEqual(self.backstay.stop(), 0)
            self.assertEqual(f"chmod o= {self.backstay.spool}" in self.backstay.log(), warned)
            self.assertEqual(os.stat(self.backstay.spool).st_mode & 0o777, mode)

    def test_spool_in_memory_is_warned_of(self):
        self.backstay.start()
        self.assertEqual(self.backstay.stop(), 0)
        self.assertNotIn("is in memory", self.backstay.log())
        in_memory = f"/dev/shm/backstay-spool-{os.getpid()}"
        self.addCleanup(shutil.rmtree, in_memory)
        self.backstay.settings["spool"] = {"directory": in_memory, "segment_size": "1MiB",
                                           "reserve": "1MiB"}
        self.backstay.write_config()
        self.backstay.start()
        self.assertIn(f"spool: {in_memory} is in memory (tmpfs): no sync makes anything safe",
                      self.backstay.log())

    def test_file_size_limit_below_a_segment_is_survived(self):
        self.backstay.limits = ["prlimit", "--fsize=65536"]
        self.backstay.start()
        with wire.Wire(self.backstay.port) as client:
            client.hello()
            self.assertRegex(client.command(b"MAIL FROM:<s@load.test>"), rb"^45[12] ")
        self.assertEqual(self.backstay.stop(), 0)

    def test_port_of_a_daemon_that_is_about_to_end_is_waited_for(self):
        first = self.daemon(harness.free_port()).start()
        self.backstay.settings["smtp"]["listen"] = [f"127.0.0.1:{first.port}"]
        self.backstay.port = first.port
        self.backstay.write_config()
        self.backstay.start(wait=False)
        harness.wait_until(lambda: "is taken" in self.backstay.log(), 5, self.backstay.log)
        first.kill()
        self.backstay.wait_banner()
        wire.send_message(self.backstay.port, CONTENT)

    def test_unknown_flag_exits_64(self):
        self.assert_ends(self.backstay.run("--confg", "x"), 64, "--confg")
        self.assert_ends(self.backstay.run(command=[self.backstay.binary, "--config"]), 64)

    def test_check_of_a_good_file_exits_0_and_touches_nothing(self):
        self.assert_ends(self.backstay.run("--check"), 0)
        self.assertFalse(os.path.exists(self.backstay.spool))

    def test_version_and_help_exit_0(self):
        for flag in ("--version", "--help"):
            done = self.backstay.run(command=[self.backstay.binary, flag])
            self.assertEqual((done.returncode, done.stdout != ""), (0, True))

    def test_lack_of_descriptors_is_no_mistake_of_the_configuration(self):
        self.backstay.settings["smtp"]["shards"] = 8
        self.backstay.write_config()
        codes = set()
        for files in range(20, 80, 4):
            self.backstay.limits = ["prlimit", f"--nofile={files}:{files}"]
            done = self.backstay.start(wait=False).process
            try:
                codes.add(done.wait(3))
            except subprocess.TimeoutExpired:
                self.backstay.stop()
                break
            self.backstay.process = None
        self.assertIn(69, codes)
        self.assertLessEqual(codes, {69, 73})

    def test_kernel_without_io_uring_exits_69_with_one_line(self):
        done = subprocess.run(self.backstay.command(), capture_output=True, text=True, timeout=20,
                              preexec_fn=forbid_io_uring, check=False)
        self.assert_ends(done, 69, "io_uring")
        lines = [line for line in done.stderr.splitlines() if "io_uring" in line]
        self.assertEqual(len(lines), 1, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)

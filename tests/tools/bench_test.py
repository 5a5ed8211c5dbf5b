#!/usr/bin/env python3
# tests/tools/bench_test.py -- what the measurements conclude: windows, verdicts, where they were made.
#
# Nothing is measured here: numbers are given, and what bench makes of them is looked at.
import argparse
import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import types
import unittest
from unittest import mock

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(TOP, "bench"))
import audit     # noqa: E402
import common    # noqa: E402
import counters  # noqa: E402
import table     # noqa: E402


def silently(function, *arguments):
    """What it returns, and what it said on stderr."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        return function(*arguments), said.getvalue()


def result(directory="/"):
    arguments = argparse.Namespace(json="unused", keep=False, directory=directory)
    return silently(common.Result, "test", arguments)[0]


def rows_of(*given):
    made = result()
    for goal, value, unjudged in given:
        made.row(goal, "", value, unjudged=unjudged)
    return made.data["rows"]


class Verdicts(unittest.TestCase):
    def test_a_row_is_judged_only_with_a_value_and_no_reason_against_it(self):
        rows = rows_of(("P1", 61, None), ("P1", 59, None), ("P1", None, None), ("P1", 61, "few"),
                       ("P14 steady", 1, None), ("P4", 0.31, None))
        self.assertEqual([(row["met"], row["unjudged"]) for row in rows],
                         [(True, None), (False, None), (None, "no value"), (None, "few"),
                          (None, None), (False, None)])
        self.assertEqual([common.verdict(row) for row in rows],
                         ["met", "not met", "not judged: no value", "not judged: few", "",
                          "not met"])

    def test_a_goal_is_met_when_all_its_parts_are(self):
        rows = rows_of(("P1", 61, None), ("P1 Exim", 26, None), ("P2", 101, None), ("P2", 99, None),
                       ("P3", 2, None), ("P5", None, "no fio"), ("P5 allocated", 2, None),
                       ("P12", 3, "few"), ("P13 banner", 0.1, "few"), ("P13 queue", 9, "few"),
                       ("P17 64 KiB", 1, None), ("P17 4 KiB", 1.2, None))
        found = table.summary(rows)
        self.assertEqual(found["met"], ["P1"])
        self.assertEqual(found["not met"], ["P2", "P17 (P17 4 KiB)"])
        unmeasured = found["not measured"]
        self.assertEqual(len(unmeasured), 17 - 3)
        for said in ("P3 (P3 smtp-source: no row)", "P5 (P5: no fio)", "P12 (P12: few)",
                     "P13 (P13 banner, P13 queue: few)", "P6 (P6: no row)"):
            self.assertIn(said, unmeasured)

    def test_spreads_have_a_column_when_there_are_some(self):
        rows = rows_of(("P1", 61, None))
        for spreads, columns in (({"a": [1, 1], "b": None}, 7), ({"a": [1, 2]}, 8)):
            rows[0]["spreads"] = spreads
            with contextlib.redirect_stdout(io.StringIO()) as said:
                common.print_rows(rows)
            lines = said.getvalue().splitlines()
            self.assertEqual({line.count("|") - 1 for line in lines}, {columns}, lines)
        self.assertIn("a 1.00 to 2.00", lines[2])


class Places(unittest.TestCase):
    def test_what_is_no_disk_judges_nothing(self):
        with mock.patch.object(counters, "file_system", lambda _: ("tmpfs", "rw", "tmpfs")):
            found, said = silently(counters.machine, "/anywhere")
            made = result()
        self.assertIn("WARNING: /anywhere: tmpfs is no disk", said)
        self.assertIn("no_disk", found)
        made.row("P1", "", 100)
        self.assertEqual((made.data["rows"][0]["met"], made.data["rows"][0]["unjudged"]),
                         (None, found["no_disk"]))

    def test_what_is_on_no_device_of_its_own_has_no_flushes(self):
        with mock.patch("os.path.exists", lambda _: False):
            self.assertIsNone(counters.device_of("/"))
        self.assertIsNone(counters.flushes(None))

    def test_the_mount_is_the_innermost_and_last(self):
        mounts = ("1 0 8:1 / / rw - ext4 /dev/a rw\n" "2 1 8:2 / /tmp rw shared:1 - ext4 /dev/b rw\n"
                  "3 1 0:9 / /tmp ro - tmpfs none size=4k\n" "4 1 8:3 / /tmpx rw - xfs /dev/c rw\n"
                  "5 1 8:4 / /a\\040b rw - btrfs /dev/d rw\n")
        with mock.patch.object(counters, "open", lambda *_, **__: io.StringIO(mounts), create=True):
            self.assertEqual(counters.file_system("/tmp/x"), ("tmpfs", "ro;size=4k", "none"))
            self.assertEqual(counters.file_system("/tmpx"), ("xfs", "rw;rw", "/dev/c"))
            self.assertEqual(counters.file_system("/a b/c"), ("btrfs", "rw;rw", "/dev/d"))
            self.assertEqual(counters.file_system("/srv"), ("ext4", "rw;rw", "/dev/a"))

    def test_spools_are_put_where_they_are_told(self):
        with tempfile.TemporaryDirectory() as directory:
            with common.scratch(directory) as path:
                self.assertEqual(os.path.dirname(path), directory)
            self.assertEqual(os.listdir(directory), [])
        self.assertEqual(common.parser("").parse_args([]).directory, common.DIRECTORY)

    def test_without_root_the_others_are_left_out_and_named(self):
        with mock.patch("os.getuid", lambda: 1000):
            sides, said = silently(common.as_root, ["backstay", "postfix"], ("backstay",))
        self.assertEqual(sides, ["backstay"])
        self.assertIn("without postfix", said)


class Windows(unittest.TestCase):
    def test_only_what_came_within_the_seconds_counts(self):
        said = json.dumps({"series": [[10, 1, 0, 12], [99, 9, 0, 99]], "rate": 5, "sessions": 0,
                           "errors": {"mail 451": 2}, "session_errors": {"lost": 1},
                           "unsent": 3})
        fake = [sys.executable, "-c", f"import time; time.sleep(1.2); print('{said}')"]
        times = iter((3.0, 3.25))
        server = types.SimpleNamespace(port=0, cpu=lambda: next(times))
        with mock.patch.object(common, "start_load", lambda *_, **__: subprocess.Popen(
                fake, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)):
            found = common.measured_load(server, 0.5)
        self.assertEqual((found["window_s"], found["acknowledged"], found["refused"],
                          found["offered"], found["rate"], found["server_cpu"]),
                         (1, 10, 1, 12, 10, 0.25))
        self.assertEqual(dict(common._complaints),
                         {"mail 451": 2, "lost": 1, "due and never sent": 3})

    def test_what_was_never_sent_or_failed_is_no_measurement(self):
        self.assertIsNone(common.incomplete([{"unsent": 0}, {"unsent": 0}]))
        self.assertEqual(common.incomplete([{"unsent": 0}, {"unsent": 2}]),
                         "2 messages were due and never sent")
        few, many = ({"messages": 1000, "errors": {"lost": lost}} for lost in (10, 11))
        self.assertIsNone(common.faulty([few]))
        self.assertEqual(common.faulty([few, many]), "1.1% of the messages failed")


class Ledgers(unittest.TestCase):
    def found(self, **given):
        return {"acknowledged": 9, "missing": 0, "queued": 0, "damaged": 0, "violations": 0} | given

    def test_what_is_missing_and_not_queued_is_lost(self):
        for missing, queued, lost in ((0, 0, 0), (5, 0, 5), (5, 3, 2), (5, 7, 0)):
            self.assertEqual(audit.lost(missing, queued), lost)

    def test_an_audit_without_mail_is_none(self):
        for code, given in ((0, {}), (1, {"lost": 1}), (1, {"lost": 1, "queued": 4}),
                            (1, {"damaged": 1}), (1, {"violations": 1}), (2, {"queued": 4}),
                            (3, {"acknowledged": 0})):
            self.assertEqual(audit.verdict(self.found(lost=0) | given), code, given)


class Socket(unittest.TestCase):
    def test_one_connection_answers_many_questions(self):
        with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
            path = os.path.join(directory, "admin.sock")
            listener.bind(path)
            listener.listen(1)
            waiting = iter((7, 3, 0))

            def answer():
                client, _ = listener.accept()
                with client, client.makefile("rwb") as stream:
                    for line in stream:
                        assert json.loads(line) == {"verb": "primaries"}, line
                        stream.write(b'{"queued":%d}\n{"queued":0}\n{"result":"ok"}\n'
                                     % next(waiting))
                        stream.flush()
            thread = threading.Thread(target=answer)
            thread.start()
            daemon = types.SimpleNamespace(settings={"admin": {"socket": path}})
            with common.Admin(daemon) as admin:
                self.assertEqual(admin.queued(), 7)
                admin.wait_queued(lambda left: left == 0, 10)
            thread.join(10)
            self.assertEqual(list(waiting), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# tests/tools/bench_test.py -- what the measurements conclude: windows, verdicts, how to repeat them.
#
# Nothing is measured here: numbers are given, and what bench makes of them is looked at.
import argparse
import ast
import contextlib
import glob
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
import unittest
from unittest import mock

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(TOP, "bench"))
import audit     # noqa: E402
import commit    # noqa: E402
import common    # noqa: E402
import counters  # noqa: E402
import judged    # noqa: E402
import overload  # noqa: E402
import recipe    # noqa: E402
import results   # noqa: E402
import table     # noqa: E402

FINE = {"doubts": [], "others_cores": 0.1}  # a run that nothing speaks against


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
        made.row(goal, "", value, runs=[FINE], unjudged=unjudged)
    return made.data["rows"]


class Verdicts(unittest.TestCase):
    def test_a_row_is_judged_only_with_a_value_and_no_reason_against_it(self):
        rows = rows_of(("P1", 61, None), ("P1", 59, None), ("P1", None, None), ("P1", 61, "few"),
                       ("P14 steady", 1, None), ("P4", 0.31, None))
        self.assertEqual([(row["met"], row["unjudged"]) for row in rows],
                         [(True, None), (False, None), (None, "no value"), (None, "few"),
                          (None, None), (False, None)])
        self.assertEqual([results.verdict(row) for row in rows],
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
                results.print_rows(rows)
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
        made.row("P1", "", 100, runs=[FINE])
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


def sent(acknowledged=1000, **given):
    """The result of a generator."""
    return {"messages": {"acknowledged": acknowledged, "lost": 0}, "errors": {}, "unsent": 0,
            "session_errors": {}, "sessions": 0,
            "options": {"connections": 256, "greet_only": False}} | given


def run_of(*heard, refusals=False, **found):
    """A run in which generators said that."""
    def measure():
        for result in heard:
            judged.hear(result, refusals)
        return dict(found)
    return judged.watched(measure)


class Windows(unittest.TestCase):
    def setUp(self):
        judged.complaints.clear()

    def test_only_what_came_within_the_seconds_counts(self):
        said = json.dumps(sent(series=[[10, 1, 0, 12], [99, 9, 0, 99]], rate=5, unsent=3,
                               errors={"mail 451": 2, "lost": 4}, session_errors={"lost": 1}))
        fake = [sys.executable, "-c", f"import time; time.sleep(1.2); print({said!r})"]
        times = iter((3.0, 3.25))
        server = types.SimpleNamespace(port=0, cpu=lambda: next(times))
        with mock.patch.object(common, "start_load", lambda *_, **__: subprocess.Popen(
                fake, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)):
            run = judged.watched(common.measured_load, server, 0.5)
        self.assertEqual((run["window_s"], run["acknowledged"], run["refused"], run["offered"],
                          run["rate"], run["server_cpu"]), (1, 10, 1, 12, 10, 0.25))
        self.assertEqual(run["all_errors"], {"mail 451": 2, "lost": 5})
        self.assertEqual(dict(judged.complaints),
                         {"mail 451": 2, "lost": 5, "due and never sent": 3})
        self.assertEqual(run["doubts"], ["3 messages were due and never sent"])

    def test_what_others_have_counts_within_windows_where_there_are_some(self):
        readings = iter([(0, 0), (1, 10), (2, 10.5), (2.1, 99), (2.2, 100), (9, 900)])

        def measure():
            for _ in range(2):  # one of a second, one that is too short to say anything
                with counters.window():
                    pass
            return {}
        with mock.patch.object(counters, "others_reading", lambda: next(readings)):
            self.assertEqual(judged.watched(measure)["others_cores"], 0.5)
        readings = iter([(0, 0), (10, 4)])
        with mock.patch.object(counters, "others_reading", lambda: next(readings)):
            self.assertEqual(judged.watched(dict)["others_cores"], 0.4)

    def test_what_descends_from_us_is_not_others(self):
        kernel = counters.KERNEL_THREAD
        # pid: parent, session, flags, ticks; 20 is we, in the session of the shell 10
        tree = {1: (0, 1, 0, 1), 2: (0, 0, kernel, 2), 10: (1, 10, 0, 4), 20: (10, 10, 0, 8),
                30: (20, 10, 0, 16), 31: (30, 31, 0, 32), 32: (1, 31, 0, 64),
                40: (10, 10, 0, 128), 50: (77, 77, 0, 256)}
        self.assertEqual(counters.others_ticks(tree, 20), 1 + 4 + 128 + 256)

    def test_work_of_a_child_is_ours_and_cpu_of_ended_threads_counts(self):
        code = ("import threading, time\ndef work():\n  while time.thread_time() < 0.3: pass\n"
                "thread = threading.Thread(target=work); thread.start(); thread.join()\n"
                "print(); input()")
        found = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        try:
            found.stdout.readline()
            self.assertGreater(counters.idle_cpu(found.pid), 0.3)
            processes = counters.processes()
            without = {pid: seen for pid, seen in processes.items() if pid != found.pid}
            self.assertGreater(processes[found.pid][3], 0)
            self.assertEqual(*(counters.others_ticks(tree, os.getpid())
                               for tree in (processes, without)))
        finally:
            found.communicate(b"\n")


class Doubts(unittest.TestCase):
    def setUp(self):
        judged.complaints.clear()

    def why(self, *heard, samples=None, **found):
        with mock.patch.object(counters, "others_reading", lambda: (time.monotonic(), 0)):
            return judged.why_not([run_of(*heard, **found)], samples)

    def test_what_was_sent_and_taken_is_judged(self):
        self.assertIsNone(self.why(sent(), sent(errors={"end 451": 10})))
        self.assertIsNone(self.why(sent(0, options={"connections": 0, "greet_only": False})))
        self.assertIsNone(self.why(sent(0, options={"connections": 9, "greet_only": True})))

    def test_a_server_that_takes_nothing_is_never_good(self):
        for result in (sent(0), sent(0, errors={"mail 451": 5000})):
            self.assertEqual(self.why(result), "no message was acknowledged")

    def test_what_failed_or_was_never_sent_is_no_measurement(self):
        self.assertEqual(self.why(sent(), sent(unsent=2)), "2 messages were due and never sent")
        self.assertEqual(self.why(sent(989, errors={"end 451": 6, "end lost": 5})),
                         "1.1% of the messages failed")
        self.assertIsNone(self.why(sent(10, errors={"greeting 421": 30}), refusals=True))

    def test_sessions_that_are_missing_are_no_measurement(self):
        lost = {"greeting lost: canceled": 52}
        self.assertEqual(self.why(sent(session_errors=lost)),
                         "52 of 256 sessions failed (greeting lost: canceled)")
        self.assertIsNone(self.why(sent(session_errors={"greeting lost: canceled": 2})))
        self.assertIsNone(self.why(sent(session_errors=lost, sessions=9000)))

    def test_others_load_and_few_samples(self):
        busy = FINE | {"others_cores": 0.31}
        self.assertEqual(judged.why_not([FINE, busy]), "others had 0.31 cores meanwhile")
        self.assertIsNone(judged.why_not([FINE]))
        self.assertEqual(judged.why_not([]), "not measured")
        few, enough = FINE | {"seen": 999}, FINE | {"seen": 1000}
        self.assertIsNone(judged.why_not([enough, FINE], "seen"))
        self.assertEqual(judged.why_not([enough, few], "seen"),
                         "a percentile of 999 samples, not 1,000")

    def test_a_run_has_its_own_doubts_and_a_row_those_of_its_runs(self):
        bad, good = run_of(sent(0)), run_of(sent()) | {"others_cores": 0}
        self.assertEqual(good["doubts"], [])
        made = result()
        for runs in ([good], [good, bad]):
            made.row("P8", "", 0, runs=runs)
        self.assertEqual([row["met"] for row in made.data["rows"]], [True, None])
        self.assertIn("no message was acknowledged", made.data["rows"][1]["unjudged"])
        with self.assertRaises(KeyError):
            made.row("P8", "", 0, runs=[{"rate": 1}])  # nobody has looked at it

    def test_every_row_of_every_script_names_its_runs(self):
        rows = 0
        for path in glob.glob(os.path.join(TOP, "bench/*.py")):
            with open(path, encoding="utf-8") as file:
                tree = ast.parse(file.read())
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and \
                        call.func.attr == "row":
                    rows += 1
                    self.assertIn("runs", [word.arg for word in call.keywords],
                                  f"{path}:{call.lineno}")
        self.assertGreater(rows, 30)

    def test_a_daemon_that_ended_by_itself_speaks_against_its_run(self):
        daemon = mock.Mock(died=None, **{"log.return_value": "its last words",
                                         "process.poll.return_value": -11})
        daemon.kill.side_effect = lambda: setattr(daemon, "died", -11)
        server = common.Backstay.__new__(common.Backstay)
        server.daemon = daemon
        run, said = silently(judged.watched, lambda: server.close() or {})
        self.assertEqual(run["doubts"], ["backstayd ended by itself with -11"])
        self.assertIn("its last words", said)
        daemon.process.poll.return_value, daemon.stop.return_value = None, 0
        self.assertEqual(judged.watched(lambda: server.close() or {})["doubts"], [])


class Percentiles(unittest.TestCase):
    def histogram(self, *parts):
        return {"count": sum(count for _, count in parts), "max": 1e9, "parts": parts}

    def test_few_samples_have_none(self):
        self.assertIsNone(judged.percentile(self.histogram()))
        self.assertIsNone(judged.percentile(self.histogram((5, 999))))
        self.assertEqual(judged.percentile(self.histogram((5, 1000))), 5)

    def test_it_is_where_the_generator_sees_it(self):
        parts = self.histogram((5, 989), (7, 1), (9, 10))
        self.assertEqual(judged.percentile(parts), 7)
        self.assertEqual(judged.percentile(parts, 0.991), 9)
        self.assertEqual(judged.percentile(parts | {"max": 6.5}), 6.5)

    def test_what_never_came_is_behind_all_others(self):
        parts = self.histogram((5, 991), (9, 9))
        self.assertEqual([judged.percentile(parts, beyond=late) for late in (0, 2, 10, 11)],
                         [5, 9, 9, None])


class Overload(unittest.TestCase):
    def test_a_full_generator_is_no_peak_of_the_server(self):
        for generator, server, share, bound in ((0.99, 0.56, 1, True), (0.99, 0.95, 1, False),
                                                (0.89, 0.1, 1, False), (0.99, 0.24, 0.25, False)):
            run = {"generator_cores": generator, "server_cores": server}
            self.assertEqual(bool(overload.generator_bound(run, share)), bound, run)

    def test_refusals_that_never_came_count(self):
        found = {"unsent": 1, "errors": {"greeting 421": 900, "greeting lost: timed out": 10,
                                         "connect lost: refused": 5, "end lost: timed out": 7}}
        self.assertEqual(overload.ungreeted(found), 16)
        self.assertIsNone(overload.unanswered({"refusals": 1000, "refusals_late": 10}))
        self.assertEqual(overload.unanswered({"refusals": 1000, "refusals_late": 11}),
                         "11 of 1,000 refusals never came")


class Flushes(unittest.TestCase):
    def test_a_disk_that_counts_none_is_found_out(self):
        with tempfile.TemporaryDirectory() as directory:
            os.makedirs(f"{directory}/sdx/queue")
            with open(f"{directory}/sdx/queue/write_cache", "w", encoding="ascii") as file:
                file.write("write through\n")
            for device, count, why in (
                    (f"{directory}/sdx", [7, 7], "no flush is counted on sdx (write cache: write "
                     "through)"), (f"{directory}/sdx", [7, 10], None),
                    (None, [], "no flush can be counted: the file system has no disk of its own")):
                with mock.patch.object(counters, "device_of", lambda _, it=device: it), \
                        mock.patch.object(counters, "flushes", mock.Mock(side_effect=count)):
                    self.assertEqual(counters.no_flushes(directory), why)

    def test_nothing_is_judged_by_flushes_that_are_not_counted(self):
        flood = {"bytes_per_second": 9e9, "flushes_per_1000": 5, "bytes_per_message_byte": 1}
        fio = {"bytes_per_second": 1e9, "median_us": 100}
        run = FINE | {"large": flood, "small": flood, "block": 65536, "single_us": 1, "sink_us": 1,
                      "fio_large": fio, "fio_large_new": fio, "fio_single": fio,
                      "fio_single_new": fio}
        none = run | {"small": flood | {"flushes_per_1000": None}}
        for runs, uncounted, met in (([run], None, True), ([run], "write through", None),
                                     ([run, none], None, None)):
            made = result()
            with mock.patch("shutil.which", lambda name: name):
                commit.report(made, runs, uncounted)
            rows = {row["goal"]: row for row in made.data["rows"]}
            self.assertEqual([rows[goal]["met"] for goal in ("P5", "P6", "P7")], [met, met, True])
            self.assertIn(uncounted or ("no flush was counted" if met is None else ""),
                          rows["P6"]["unjudged"] or "")


class Recipes(unittest.TestCase):
    def setUp(self):
        for noted in (recipe._commands, recipe._settings):
            noted.clear()

    def test_commands_are_noted_without_what_is_of_one_run(self):
        for port in (4001, 4002):
            recipe.command(["/a/bin/backstay-load", f"127.0.0.1:{port}", "--rate", port / 3])
            recipe.command(["fio", f"--directory=/x/backstay-bench-x{port}", "--bs=1"])
        recipe.command(["sink", "--rule", "end delay 1s", "/tmp/backstay-sink-a_b/sink.ledger"])
        recipe.settings("backstay", {"smtp": {"shards": 2}})
        self.assertEqual(recipe.data(), {
            "commands": ["backstay-load 127.0.0.1:PORT --rate R",
                         "fio --directory=DIRECTORY --bs=1",
                         "sink --rule 'end delay 1s' DIRECTORY/sink.ledger"],
            "settings": {"backstay": {"smtp": {"shards": 2}}}})

    def test_a_changed_tree_is_named_as_such(self):
        for changed, name in (("", "abc1234"), (" M bench/common.py\n", "abc1234-dirty")):
            def run(words, said=changed, **_):
                return types.SimpleNamespace(stdout=said if "status" in words else "abc1234\n")
            with mock.patch("subprocess.run", run):
                self.assertEqual(counters.commit(), name)

    def test_the_history_keeps_how_it_was_made(self):
        made = result()
        made.row("P1", "", 61, runs=[FINE])
        with tempfile.TemporaryDirectory() as directory:
            os.mkdir(f"{directory}/bench")
            with mock.patch.object(counters, "TOP", directory):
                made.keep()
            with open(f"{directory}/bench/history.jsonl", encoding="utf-8") as file:
                kept = json.loads(file.read())
        for name in ("bench", "machine", "command", "versions", "goal", "met"):
            self.assertIn(name, kept)


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


class Sinks(unittest.TestCase):
    @unittest.skipUnless(os.path.exists(f"{common.peers.PEERS}/bin/smtp-sink"), "no smtp-sink here")
    def test_smtp_sink_greets_all_that_come_together(self):
        sink = common.SmtpSink()
        with contextlib.ExitStack() as stack:
            stack.callback(sink.close)
            clients = [stack.enter_context(socket.socket()) for _ in range(400)]
            sink.sink.process.send_signal(signal.SIGSTOP)  # so that nobody is taken from the queue
            for client in clients:
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", sink.port))
            connected = select.select([], clients, [], 0.5)[1]
            sink.sink.process.send_signal(signal.SIGCONT)
            self.assertEqual(len(connected), len(clients))
            common.harness.wait_until(lambda: len(select.select(clients, [], [], 0)[0]) ==
                                      len(clients), 20, "a greeting for each")


try:
    import report  # noqa: E402
except SystemExit:  # without matplotlib
    report = None


@unittest.skipUnless(report, "no matplotlib")
class Page(unittest.TestCase):
    def test_what_has_no_value_is_a_picture_that_says_so(self):
        with tempfile.TemporaryDirectory() as directory:
            for values in ({}, {"backstay": None}, {"backstay": 3}):
                plot = {"kind": "bars", "title": "t", "unit": "/s", "values": values}
                self.assertIn("<svg", report.picture(plot, f"{directory}/t.png"))
            plot = {"kind": "percentiles", "title": "t", "series": {"backstay": []}}
            self.assertIn("<svg", report.picture(plot, f"{directory}/t.png"))

    def test_results_of_different_or_changed_trees_are_named(self):
        def of(*commits):
            return report.commits([{"bench": f"b{number}", "machine": {"commit": commit}}
                                   for number, commit in enumerate(commits)])
        self.assertEqual(of("a", "a"), "")
        self.assertIn("different commits: a: b0, b2; c: b1", of("a", "c", "a"))
        self.assertIn("changes that are in no commit: a-dirty: b0", of("a-dirty"))

    def test_an_audit_says_how_it_was_made(self):
        data = {"bench": "audit", "machine": {"commit": "a"}, "versions": {"postfix": "3.7"},
                "command": "audit.py --server postfix", "audit": {"server": "postfix", "kills": 3},
                "durability": {"postfix": "synced", "exim": "too"}, "commands": ["backstay-load x"]}
        page = report.section(data, "/nowhere")
        for said in ("audit of postfix", "postfix 3.7", "audit.py --server postfix", "kills",
                     "postfix: synced", "backstay-load x"):
            self.assertIn(said, page)
        self.assertNotIn("exim", page)

    def test_the_newest_audit_of_each_server(self):
        with tempfile.TemporaryDirectory() as directory:
            os.makedirs(f"{directory}/build/bench")
            names = ("audit-exim-20260101-000000", "audit-exim-20260102-000000",
                     "audit-postfix-20260101-000000")
            for name in names:
                with open(f"{directory}/build/bench/{name}.json", "w", encoding="ascii"):
                    pass
            with mock.patch.object(report, "TOP", directory):
                self.assertEqual([os.path.basename(path)[:-5] for path in report.newest()],
                                 list(names[1:]))


if __name__ == "__main__":
    unittest.main(verbosity=2)

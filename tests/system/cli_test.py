#!/usr/bin/env python3
# tests/system/cli_test.py -- the operator's command over spools that a real daemon has written.
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import time
import unittest

import harness
import loader
import peers
import sinks
import wire

BLOCK = 4096
NOBODY = 65534
# With lines that begin with dots, bytes above 127, a long line, no text at all.
BODIES = [b"Subject: dots\r\n\r\n.\r\n..two\r\n.end\r\n", b"Subject: 8 bit\r\n\r\n\xc3\xa9\xff\xfe\r\n",
          b"Subject: long\r\n\r\n" + b"x" * 900 + b"\r\n", b"\r\n"]
LARGE = b"Subject: large\r\n\r\n" + b"".join(b"line %07d\r\n" % i for i in range(150000))


def backstay(*arguments, user=None):
    command = [harness.binary("backstay"), *arguments]
    if user is not None:
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
    return subprocess.run(command, capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                          check=False)


def objects(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def segments(spool):
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(spool)
                  for name in names if name.startswith("segment-") and "quarantine" not in folder)


def fingerprint(spool):
    """Everything that a reader could have changed."""
    found = {}
    for folder, folders, names in os.walk(spool):
        for name in folders + names:
            path = os.path.join(folder, name)
            status = os.stat(path)
            data = b""
            if name in names:
                with open(path, "rb") as file:
                    data = file.read()
            found[path] = (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
                           hashlib.sha256(data).digest())
    return found


def send(port, content, recipients=(b"a@example.com",), sender=b"s@load.test"):
    """The queue id."""
    with wire.Wire(port) as client:
        client.hello()
        for command in [b"MAIL FROM:<%s>" % sender, *(b"RCPT TO:<%s>" % name for name in recipients),
                        b"DATA"]:
            reply = client.command(command)
            assert reply[:1] in b"23", reply
        client.send(loader.stuffed(content) + b".\r\n")
        queued = harness.QUEUED.search(client.reply())
        return queued[1].decode()


class Cli(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.sink = self.managed(sinks.RecordingSink())
        self.daemon_ = self.daemon(self.sink.port, {
            "smtp": {"shards": 2}, "spool": {"segment_size": "4MiB"}})
        self.daemon_.settings["domain"] = [
            {"name": name, "primary": [f"127.0.0.1:{self.sink.port}"]}
            for name in ("example.com", "example.net")]
        self.daemon_.write_config()
        self.spool = self.daemon_.spool

    def verb(self, name, *arguments, expect=0, spool=None, user=None):
        done = backstay("spool", name, spool or self.spool, *arguments, user=user)
        self.assertEqual(done.returncode, expect, done.stderr + done.stdout[-2000:])
        self.assertNotRegex(done.stderr.decode(), harness.ALARMS)
        return done

    def summary(self, *arguments, **options):
        return objects(self.verb("verify", "--json", *arguments, **options))[-1]

    def fill(self):
        """Mail of all kinds in a stopped spool: queue id -> content."""
        self.daemon_.start()
        sent = {send(self.daemon_.port, body): body for body in BODIES}
        sent[send(self.daemon_.port, LARGE)] = LARGE
        both = b"Subject: two\r\n\r\nboth\r\n"
        sent[send(self.daemon_.port, both, (b"b@example.com", b"c@example.net"), b"")] = both
        for number in range(20):
            body = b"Subject: %d\r\n\r\n%s\r\n" % (number, b"y" * number * 40)
            sent[send(self.daemon_.port, body)] = body
        self.assertEqual(self.daemon_.stop(), 0)
        return sent


class Whole(Cli):
    def test_cat_is_byte_for_byte_what_the_primary_receives(self):
        sent = self.fill()
        catted = {queue_id: self.verb("cat", queue_id).stdout for queue_id in sent}
        for queue_id, content in sent.items():
            self.assert_relayed(catted[queue_id], content, queue_id)
        self.sink.up()
        self.daemon_.start()
        self.sink.wait_for(len(sent), 10)
        self.assertEqual(sorted(catted.values()),
                         sorted(message.content for message in self.sink.messages))

    def test_list_has_every_message_with_its_size_state_sender_and_recipients(self):
        before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        sent = self.fill()
        listed = {item["queue_id"]: item for item in objects(self.verb("list", "--json"))}
        self.assertEqual(sorted(listed), sorted(sent))
        for queue_id, item in listed.items():
            self.assertEqual(list(item), ["queue_id", "arrival", "bytes", "state", "sender",
                                          "recipients"])
            self.assertEqual(item["bytes"], len(self.verb("cat", queue_id).stdout))
            self.assertTrue(before <= item["arrival"] <= time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                                                       time.gmtime()))
            self.assertEqual(item["state"], "live")
        two = objects(self.verb("list", "--json", "--domain", "Example.NET."))
        self.assertEqual([(item["sender"], item["recipients"]) for item in two], [
            ("", [{"address": "b@example.com", "state": "live"},
                  {"address": "c@example.net", "state": "live"}])])
        lines = self.verb("list").stdout.decode().splitlines()
        self.assertEqual(len(lines), len(sent) + 1)
        columns = [match.start() for match in re.finditer(r"(?<!\S)\S", lines[0].replace("E I", "E_I"))]
        for line in lines[1:]:
            self.assertRegex(line, rf"^{harness.QUEUE_ID}  \S{{20}} +[\d,]+  live +<[^>]*> +\S+@")
            self.assertEqual(line[columns[-1] - 2:columns[-1]], "  ", line)
        self.assertIn(b"no messages for elsewhere.test",
                      self.verb("list", "--domain", "elsewhere.test").stderr)

    def test_verify_and_stat_count_what_was_sent(self):
        sent = self.fill()
        summary = self.summary()
        self.assertTrue(summary["whole"])
        self.assertEqual((summary["messages_owed"], summary["messages_settled"]), (len(sent), 0))
        self.assertEqual((summary["recipients_live"], summary["torn"]), (len(sent) + 1, 0))
        shards = [self.summary("--shard", str(shard)) for shard in (0, 1)]
        for name in ("segments", "records", "messages_owed", "bytes_read"):
            self.assertEqual(summary[name], sum(shard[name] for shard in shards), name)
        text = self.verb("verify")
        self.assertEqual(text.stderr, b"", "no progress without a terminal")
        self.assertIn(f"{self.spool}: whole\n".encode(), text.stdout)
        stat = objects(self.verb("stat", "--json"))
        self.assertEqual([item["kind"] for item in stat], ["shard", "shard", "domain", "domain",
                                                           "total"])
        total, files = stat[-1], segments(self.spool)
        self.assertEqual((total["segments"], total["bytes"]),
                         (len(files), sum(map(os.path.getsize, files))))
        self.assertEqual(total["messages_live"], len(sent))
        self.assertGreater(total["bytes_live"], sum(map(len, sent.values())))
        self.assertLess(total["bytes_dead"], 4096)  # start records: nothing is settled
        self.assertLess(total["bytes_live"] + total["bytes_dead"], total["bytes_written"])
        self.assertLess(total["bytes_written"], total["bytes"])
        self.assertEqual({item["domain"]: (item["messages"], item["recipients_live"])
                          for item in stat[2:4]},
                         {"example.com": (len(sent), len(sent)), "example.net": (1, 1)})
        self.assertIn(b"example.net", self.verb("stat").stdout)

    def test_settled_and_dsn_pending_are_told_apart(self):
        self.sink.script = lambda verb, argument, _: \
            b"550 5.1.1 no such user" if verb == "RCPT" and "gone@" in argument else None
        self.sink.up()
        self.daemon_.settings["domain"][0]["retry"] = {"bounce_after": "0"}
        self.daemon_.write_config()
        self.daemon_.start()
        body = b"Subject: x\r\n\r\nx\r\n"
        delivered = send(self.daemon_.port, body)
        half = send(self.daemon_.port, body, (b"gone@example.com", b"here@example.com"))
        self.sink.wait_for(2, 10)
        time.sleep(0.5)
        self.sink.down()
        waiting = send(self.daemon_.port, body)
        self.assertEqual(self.daemon_.stop(), 0)
        listed = {item["queue_id"]: item for item in objects(self.verb("list", "--json"))}
        self.assertEqual({key: item["state"] for key, item in listed.items()},
                         {half: "mixed", waiting: "live"})
        self.assertEqual([item["state"] for item in listed[half]["recipients"]],
                         ["dsn-pending", "settled"])
        everything = objects(self.verb("list", "--json", "--all"))
        self.assertEqual({item["queue_id"]: item["state"] for item in everything},
                         {delivered: "settled", half: "mixed", waiting: "live"})
        self.assertIn(b"gone@example.com (dsn-pending), here@example.com (settled)",
                      self.verb("list").stdout)
        summary = self.summary()
        self.assertEqual((summary["messages_owed"], summary["messages_settled"],
                          summary["recipients_live"], summary["recipients_dsn_pending"],
                          summary["recipients_settled"]), (2, 1, 1, 1, 2))
        total = objects(self.verb("stat", "--json"))[-1]
        self.assertEqual((total["messages_live"], total["messages_dsn_pending"],
                          total["recipients_dsn_pending"]), (1, 1, 1))

    def test_envelope(self):
        self.daemon_.start()
        with wire.Wire(self.daemon_.port) as client:
            client.hello()
            for command in (b"MAIL FROM:<s@load.test> BODY=8BITMIME", b"RCPT TO:<a@example.com>",
                            b"RCPT TO:<\"b c\"@example.net>", b"DATA"):
                self.assertIn(client.command(command)[:1], b"23")
            queue_id = harness.QUEUED.search(client.command(b"\r\nx\r\n."))[1].decode()
        self.daemon_.stop()
        said = self.verb("cat", queue_id, "--envelope").stdout.decode()
        for line in ("client: 127.0.0.1", "helo: client.test", "mail from: <s@load.test>",
                     "body: 8BITMIME", "rcpt to: <a@example.com>",
                     "rcpt to: <\"b c\"@example.net>"):
            self.assertIn(line + "\n", said)

    def test_shards_of_an_earlier_run_are_read(self):
        sent = self.fill()
        for shards in (4, 1):
            self.daemon_.settings["smtp"]["shards"] = shards
            self.daemon_.write_config()
            self.daemon_.start()
            body = b"Subject: more\r\n\r\nmore\r\n"
            sent.update((send(self.daemon_.port, body), body) for _ in range(12))
            self.daemon_.stop()
        self.assertEqual(self.summary()["shards"], 4)
        shutil.rmtree(f"{self.spool}/shard-002")  # with a gap
        left = objects(self.verb("list", "--json"))
        self.assertEqual(self.summary()["shards"], 3)
        self.assertGreater(len(left), 24)
        for item in left:
            self.assert_relayed(self.verb("cat", item["queue_id"]).stdout, sent[item["queue_id"]],
                                item["queue_id"])


class ReadOnly(Cli):
    @unittest.skipUnless(os.getuid() == 0, "only root may become somebody else")
    def test_nothing_changes_and_the_right_to_read_is_enough(self):
        sent = self.fill()
        binary = shutil.copy(harness.binary("backstay"), self.directory)
        os.chmod(binary, 0o755)
        bin_directory, harness.BIN = harness.BIN, self.directory
        self.addCleanup(setattr, harness, "BIN", bin_directory)
        for folder, _, names in os.walk(self.daemon_.directory):
            os.chmod(folder, 0o755)
            for name in names:
                os.chmod(os.path.join(folder, name), 0o644)
        before = fingerprint(self.spool)
        self.assertTrue(self.summary(user=NOBODY)["whole"])
        self.assertEqual(len(objects(self.verb("list", "--json", user=NOBODY))), len(sent))
        self.verb("stat", user=NOBODY)
        for queue_id, content in sent.items():
            self.assert_relayed(self.verb("cat", queue_id, user=NOBODY).stdout, content, queue_id)
        # A lock file that cannot be read is a daemon that may be there.
        os.chmod(f"{self.spool}/LOCK", 0o600)
        self.assertIn(b"may be in use", self.verb("stat", user=NOBODY).stderr)
        os.chmod(f"{self.spool}/LOCK", 0o644)
        after = fingerprint(self.spool)
        lock = f"{self.spool}/LOCK"
        self.assertEqual({path: value for path, value in after.items() if path != lock},
                         {path: value for path, value in before.items() if path != lock})
        one = segments(self.spool)[0]
        os.chmod(one, 0o600)
        done = self.verb("verify", user=NOBODY, expect=73)
        self.assertIn(os.path.basename(one)[8:].encode(), done.stdout)
        self.assertIn(b"permission denied", done.stdout)
        self.assertIn(b"unreadable: 1", self.verb("list", user=NOBODY).stderr)
        os.chmod(self.spool, 0o700)
        self.assertIn(b"run it as a user who may read",
                      self.verb("list", user=NOBODY, expect=73).stderr)

    def test_a_running_daemon_is_named_and_its_tail_is_no_damage(self):
        self.daemon_.start()
        load = loader.Load(self.daemon_.port, 16, lambda number: loader.Outgoing(
            "s@load.test", ["a@example.com"], LARGE[:random.Random(number).randrange(20, 600000)]
            + b"\r\n")).start()
        end = time.monotonic() + 6
        owed, runs = 0, 0
        while time.monotonic() < end:
            done = self.verb("verify", "--json")
            self.assertIn(f"in use by a daemon (pid {self.daemon_.process.pid})".encode(),
                          done.stderr)
            summary = objects(done)[-1]
            self.assertTrue(summary["in_use"])
            self.assertEqual(summary["torn"], 0, done.stdout)
            self.assertGreaterEqual(summary["messages_owed"], owed)
            owed, runs = summary["messages_owed"], runs + 1
        load.stop()
        self.assertFalse(load.errors)
        time.sleep(0.2)  # 50 ms after the last batch an empty one follows it
        self.assertEqual(len(objects(self.verb("list", "--json"))), len(load.acknowledged))
        self.daemon_.stop()
        print(f"verified {runs} times beside {len(load.acknowledged)} messages")
        self.assertEqual(self.verb("list").stderr, b"")
        self.assertEqual(self.summary()["messages_owed"], len(load.acknowledged))

    def test_what_a_drain_gives_back_meanwhile_is_no_damage(self):
        self.daemon_.start()
        load = loader.Load(self.daemon_.port, 16, lambda number: loader.Outgoing(
            "s@load.test", ["a@example.com"], LARGE[:random.Random(number).randrange(20, 600000)]
            + b"\r\n"), limit=500).start().join()
        self.assertFalse(load.errors)
        before = len(segments(self.spool))
        self.assertGreater(before, 20)
        self.sink.keep = len
        self.sink.up()
        runs, given_back = 0, 0
        end = time.monotonic() + 60
        while len(segments(self.spool)) > before / 4 and time.monotonic() < end:
            done = self.verb("verify", "--json")
            *findings, summary = objects(done)
            self.assertTrue(summary["in_use"])
            self.assertTrue(summary["whole"], done.stdout)
            given_back += sum("given back" in finding["what"] for finding in findings)
            runs += 1
        self.sink.wait_for(len(load.acknowledged), 60)
        print(f"verified {runs} times beside a drain; {given_back} segments went meanwhile")
        self.assertEqual(self.daemon_.stop(), 0)
        self.assertTrue(self.summary()["whole"])


class Damage(Cli):
    def setUp(self):
        super().setUp()
        self.sent = self.fill()

    def copy(self):
        spool = f"{self.directory}/copy"
        shutil.rmtree(spool, ignore_errors=True)
        shutil.copytree(self.spool, spool)
        return spool

    def find(self, spool, needle):
        """Segment file and offset of bytes that are there once."""
        for path in segments(spool):
            with open(path, "rb") as file:
                at = file.read().find(needle)
            if at >= 0:
                return path, at
        raise AssertionError(f"{needle} is nowhere")

    def flip(self, path, at, bit=0):
        with open(path, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ (1 << bit)]))

    def test_a_flipped_bit_is_named_and_costs_its_message_only(self):
        draw = random.Random(5)
        for queue_id, content in draw.sample(sorted(self.sent.items()), 8):
            spool = self.copy()
            path, at = self.find(spool, b"id " + queue_id.encode())
            at += draw.randrange(0, 40)
            self.flip(path, at, draw.randrange(8))
            done = self.verb("verify", "--json", spool=spool, expect=1)
            damage = [item for item in objects(done) if item["kind"] == "damaged"]
            self.assertEqual(len(damage), 1, done.stdout)
            self.assertEqual(damage[0]["segment"], path[-8:])
            self.assertEqual(damage[0]["shard"], int(path[-20:-17]))
            self.assertTrue(damage[0]["from"] <= at < damage[0]["to"], (damage, at))
            cat = self.verb("cat", queue_id, spool=spool, expect=1)
            self.assertEqual(cat.stdout, b"")
            self.assertRegex(cat.stderr.decode(), rf"whole: segment {path[-8:]} offset \d+: ")
            listed = self.verb("list", "--json", spool=spool)
            self.assertEqual({item["queue_id"] for item in objects(listed)},
                             set(self.sent) - {queue_id})
            self.assertIn(b"damaged places: 1, unreadable: 0", listed.stderr)
            text = self.verb("verify", spool=spool, expect=1).stdout.decode()
            self.assertRegex(text, rf"(?m)^damaged +shard \d\d\d +segment {path[-8:]} +bytes "
                                   rf"{damage[0]['from']} to {damage[0]['to']} +batch$")
            self.assertIn("NOT WHOLE", text)

    def test_a_damaged_part_names_its_message_and_nothing_of_it_is_written(self):
        large = next(queue_id for queue_id, content in self.sent.items() if content is LARGE)
        spool = self.copy()
        path, at = self.find(spool, b"line 0100000\r\n")
        self.flip(path, at)
        done = self.verb("verify", spool=spool, expect=1).stdout.decode()
        self.assertRegex(done, rf"(?m)^damaged .*segment {path[-8:]} .*part of message {large}")
        cat = self.verb("cat", large, spool=spool, expect=1)
        self.assertEqual(cat.stdout, b"")
        self.assertIn(f"segment {path[-8:]} offset ".encode(), cat.stderr)

    def test_no_flipped_bit_goes_unseen_and_none_is_fatal(self):
        draw = random.Random(6)
        path = segments(self.spool)[0]
        with open(path, "rb") as file:
            data = file.read()
        used = [at for at in range(0, len(data)) if data[at]]
        for at in draw.sample(used, 60):
            spool = self.copy()
            self.flip(path.replace(self.spool, spool), at, draw.randrange(8))
            done = backstay("spool", "verify", spool, "--json")
            torn = any(item["kind"] == "torn" for item in objects(done))
            self.assertTrue(done.returncode == 1 or torn, (at, done.stdout))
            for name in ("list", "stat"):
                self.verb(name, spool=spool)

    def test_headers_have_a_copy_and_both_are_checked(self):
        path = segments(self.spool)[0]
        for at in (20, os.path.getsize(path) - BLOCK + 20):
            spool = self.copy()
            self.flip(path.replace(self.spool, spool), at)
            done = self.verb("verify", spool=spool, expect=1).stdout
            self.assertIn(b"header", done)
            self.assertEqual(len(objects(self.verb("list", "--json", spool=spool))),
                             len(self.sent))
        self.flip(path.replace(self.spool, spool), 20)
        self.assertIn(b"no readable header", self.verb("verify", spool=spool, expect=1).stdout)
        self.verb("list", spool=spool)

    def last_segment(self, spool):
        """Of shard 0 the segment where the log ended, and the offset behind its last byte."""
        for path in reversed(segments(f"{spool}/shard-000")):
            with open(path, "rb") as file:
                data = file.read()[BLOCK:-BLOCK]
            if any(data):
                return path, BLOCK + len(data.rstrip(b"\0"))
        raise AssertionError("nothing there")

    def test_a_cut_file_is_damaged_and_a_torn_tail_is_not(self):
        spool = self.copy()
        path, end = self.last_segment(spool)
        with open(path, "r+b") as file:
            # The last bytes of the log are the last commit record's: what it ends is torn.
            file.seek(end - 48)
            file.write(bytes(48))
        done = self.verb("verify", spool=spool).stdout.decode()
        self.assertNotIn("damaged  ", done.split("\n\n")[0])
        self.verb("cat", sorted(self.sent)[0], spool=spool)
        spool = self.copy()
        os.truncate(path, (end - 1) // BLOCK * BLOCK)
        done = self.verb("verify", spool=spool, expect=1).stdout.decode()
        self.assertIn("the file is cut off here", done)
        os.truncate(path, 0)
        self.verb("verify", spool=spool)
        os.unlink(segments(f"{spool}/shard-000")[0])
        self.verb("list", spool=spool)

    def test_a_killed_daemon_leaves_nothing_that_is_called_damage(self):
        for number in range(5):
            self.daemon_.start()
            load = loader.Load(self.daemon_.port, 16, lambda number: loader.Outgoing(
                "s@load.test", ["a@example.com"], LARGE[:20 + number * 7919 % 300000] + b"\r\n"))
            load.start()
            time.sleep(0.3 + number * 0.05)
            self.daemon_.kill()
            load.stop()
            listed = {item["queue_id"] for item in objects(self.verb("list", "--json"))}
            self.assertLessEqual(set(load.acknowledged.values()), listed)
            self.assertTrue(self.summary()["whole"])


class Words(Cli):
    def test_errors_say_what_where_and_what_to_do(self):
        os.makedirs(f"{self.directory}/empty")
        for arguments, code, words in (
                (["spool"], 64, "--help"),
                (["spool", "verify"], 64, "DIR is required"),
                (["spool", "verify", "--shard", "x", "/"], 64, "x"),
                (["spool", "nonsense"], 64, "--help"),
                (["spool", "list", f"{self.directory}/none"], 73, "spool.directory"),
                (["spool", "stat", f"{self.directory}/empty"], 73, "this is no spool"),
                (["spool", "cat", f"{self.directory}/empty", "0000000000000000"], 73, "no spool"),
                (["spool", "cat", self.spool, "AEIOU"], 64, "no queue id")):
            done = backstay(*arguments)
            self.assertEqual(done.returncode, code, (arguments, done))
            self.assertIn(words, done.stderr.decode(), arguments)
            self.assertEqual(done.stdout, b"")

    def test_advice_fits_what_happened(self):
        file = f"{self.directory}/file"
        with open(file, "wb"):
            pass
        right, place = "as a user who may read", "name the directory"
        done = self.verb("verify", spool=file, expect=73).stderr.decode()
        self.assertIn("Not a directory", done)
        self.assertIn(place, done)
        self.assertNotIn(right, done)
        self.assertNotIn(right, self.verb("list", spool=f"{self.directory}/none",
                                          expect=73).stderr.decode())
        if os.getuid() == 0:
            os.chmod(self.directory, 0o755)
            os.mkdir(f"{self.directory}/closed", 0o700)
            done = self.verb("verify", spool=f"{self.directory}/closed", expect=73, user=NOBODY)
            self.assertIn(right, done.stderr.decode())
            self.assertNotIn(place, done.stderr.decode())

    def test_a_file_of_addresses_that_cannot_be_read(self):
        for path, words in (("none", "No such file or directory"), ("", "Is a directory")):
            done = backstay("recipients", "import", os.path.join(self.directory, path))
            self.assertEqual(done.returncode, 66, done)
            self.assertIn(f"cannot be read: {words}\n", done.stderr.decode())
        with open(f"{self.directory}/empty", "wb"):
            pass
        done = backstay("recipients", "import", f"{self.directory}/empty")
        self.assertEqual(done.returncode, 64, done)
        self.assertIn(b"no address in it", done.stderr)

    def test_an_unknown_message_and_a_newer_format(self):
        sent = self.fill()
        known = sorted(sent)[0]
        self.assertIn(b"is not in", self.verb("cat", "0" * 16, expect=1).stderr)
        for number in (7, 15):  # another place of the same spool, another segment
            other = known[:number] + ("B" if known[number] != "B" else "C") + known[number + 1:]
            done = self.verb("cat", other, expect=1)
            self.assertEqual(done.stdout, b"")
            self.assertIn(other.encode(), done.stderr)
        self.assertIn(b"it has 0, 1", self.verb("verify", "--shard", "9", expect=64).stderr)
        with open(f"{self.spool}/VERSION", "w", encoding="ascii") as file:
            file.write("backstay spool 99\nnode 1\n")
        for name in ("verify", "list", "stat"):
            self.assertIn(b"format 99", self.verb(name, expect=76).stderr)
        os.unlink(f"{self.spool}/VERSION")  # any segment says the node
        self.assertIn(b"VERSION", self.verb("verify", expect=1).stdout)
        self.assertEqual(len(objects(self.verb("list", "--json"))), len(sent))

    def test_help_of_every_verb(self):
        for verb in ([], ["verify"], ["list"], ["stat"], ["cat"]):
            done = backstay("spool", *verb, "--help")
            self.assertEqual(done.returncode, 0)
            self.assertEqual(done.stderr, b"")
            self.assertLessEqual(max(map(len, done.stdout.decode().splitlines())), 100)
        self.assertRegex(backstay("--version").stdout, rb"^backstay \d+\.\d+")

    def test_a_full_disk_below_the_output_is_said(self):
        self.fill()
        with open("/dev/full", "wb") as full:
            done = subprocess.run([harness.binary("backstay"), "spool", "list", self.spool],
                                  stdout=full, stderr=subprocess.PIPE, timeout=20, check=False)
        self.assertEqual(done.returncode, 74)
        self.assertIn(b"cannot be written", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)

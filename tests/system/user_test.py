#!/usr/bin/env python3
# tests/system/user_test.py -- started as root with a `user`: what it is then, and what it says of
# files that only root may use.
import contextlib
import grp
import os
import pwd
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import unittest

import harness
import sinks
import tls_peers
import wire

CONTENT = b"Subject: user\r\n\r\nbody\r\n"
USER = "nobody"


def numbers(pid, task, *names):
    """What /proc says of one thread: a list of words for each name."""
    with open(f"/proc/{pid}/task/{task}/status", encoding="ascii", errors="replace") as file:
        text = file.read()
    return [re.search(rf"^{name}:\s*(.*)$", text, re.M)[1].split() for name in names]


def own(path, user, group):
    """chown -R."""
    os.chown(path, user, group)
    for folder, folders, files in os.walk(path):
        for name in folders + files:
            os.chown(os.path.join(folder, name), user, group, follow_symlinks=False)


def low_port():
    """One that only root may have."""
    for _ in range(100):
        port = random.randrange(600, 1000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port below 1024 is free")


@unittest.skipUnless(os.getuid() == 0, "only root may become somebody else")
class User(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.account = pwd.getpwnam(USER)
        self.sink = self.managed(sinks.RecordingSink())
        self.backstay = self.daemon(self.sink.port, {"user": USER, "smtp": {"shards": 2}})
        self.backstay.port = low_port()
        self.backstay.settings["smtp"]["listen"] = [f"127.0.0.1:{self.backstay.port}"]
        self.backstay.write_config()

    def hang_up(self, says):
        before = self.backstay.log().count(says)
        self.backstay.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: self.backstay.log().count(says) > before, 10, self.backstay.log)

    def assert_is_user(self, account):
        pid = self.backstay.process.pid
        groups = {account.pw_gid} | {g.gr_gid for g in grp.getgrall() if account.pw_name in g.gr_mem}
        for task in os.listdir(f"/proc/{pid}/task"):
            user, group, others, rights, name = numbers(pid, task, "Uid", "Gid", "Groups", "CapPrm",
                                                        "Name")
            self.assertEqual(user, [str(account.pw_uid)] * 4, name)
            self.assertEqual(group, [str(account.pw_gid)] * 4, name)
            self.assertEqual(set(map(int, others)), groups, name)
            if not name[0].startswith("iou-"):  # a worker of the ring acts for who asks it
                self.assertEqual(int(rights[0], 16), 0, name)
        self.assertEqual(numbers(pid, pid, "NoNewPrivs"), [["1"]])
        may_raise = int(numbers("self", os.getpid(), "CapEff")[0][0], 16) >> 24 & 1
        if may_raise:  # CAP_SYS_RESOURCE, which root in a container often lacks
            self.assertEqual(resource.prlimit(pid, resource.RLIMIT_MEMLOCK),
                             (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def ask(self, *arguments, expect=0):
        done = subprocess.run(
            [harness.binary("backstay"), "--endpoint", self.backstay.settings["admin"]["socket"],
             *arguments], capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, expect, done)
        return done

    def test_it_takes_keeps_and_hands_on_as_that_user(self):
        self.backstay.start()
        self.assert_is_user(self.account)
        wire.send_message(self.backstay.port, CONTENT)
        for folder, _, files in os.walk(self.backstay.spool):
            for path in [folder, *(os.path.join(folder, name) for name in files)]:
                self.assertEqual(os.stat(path).st_uid, self.account.pw_uid, path)
        self.assertEqual(os.stat(self.backstay.spool).st_mode & 0o777, 0o700)
        self.hang_up("configuration reloaded")
        wire.send_message(self.backstay.port, CONTENT)
        self.assertEqual(os.stat(self.backstay.settings["admin"]["socket"]).st_uid,
                         self.account.pw_uid)
        self.ask("reload")
        self.assertEqual(self.backstay.stop(), 0)
        self.backstay.start()  # what it left of its socket is in root's directory
        self.ask("status")
        self.sink.up()
        self.sink.wait_for(2, 20)
        for complaint in ("warning admin", "may not", "not in effect"):
            self.assertNotIn(complaint, self.backstay.log())

    def test_groups_that_name_the_user_are_his(self):
        named = next((name for group in grp.getgrall() for name in group.gr_mem
                      if pwd.getpwnam(name).pw_uid != 0), None)
        if named is None:
            self.skipTest("no group of this machine has members")
        self.backstay.settings["user"] = named
        self.backstay.write_config()
        self.backstay.start()
        self.assert_is_user(pwd.getpwnam(named))

    def test_a_spool_that_root_left_is_not_used_and_the_line_says_how_it_is(self):
        del self.backstay.settings["user"]
        self.backstay.write_config()
        self.backstay.start()
        wire.send_message(self.backstay.port, CONTENT)
        self.assertEqual(self.backstay.stop(), 0)
        self.backstay.settings["user"] = USER
        self.backstay.write_config()
        spool, user, group = self.backstay.spool, self.account.pw_uid, self.account.pw_gid
        advice = f"chown -R {USER}: {spool}"
        for step in ("nothing", "the directory", "all but a segment"):
            done = self.backstay.run()
            self.assertEqual(done.returncode, 73, (step, done.stderr))
            self.assertIn(advice, done.stderr)
            if step == "nothing":
                os.chown(spool, user, group)
            elif step == "the directory":
                own(spool, user, group)
                shard = os.path.join(spool, "shard-000")
                segment = os.path.join(shard, sorted(os.listdir(shard))[0])
                os.chown(segment, 0, 0)
                os.chmod(segment, 0o600)
        own(spool, user, group)
        os.mkdir(os.path.join(spool, "lost+found"), 0o700)  # not ours
        self.backstay.start()
        self.sink.up()
        self.sink.wait_for(1, 20)

    def test_no_way_to_the_spool_exits_73(self):
        closed = os.path.join(self.backstay.directory, "closed")
        os.mkdir(closed, 0o700)
        self.backstay.settings["spool"]["directory"] = os.path.join(closed, "spool")
        self.backstay.write_config()
        done = self.backstay.run()
        self.assertEqual(done.returncode, 73, done.stderr)
        self.assertIn("directories above it", done.stderr)

    def test_a_key_that_only_root_reads_is_good_for_a_start_and_not_for_a_reload(self):
        certificate = tls_peers.Certificate(self.directory, "mx")
        os.chmod(certificate.key, 0o600)
        self.backstay.settings["tls"] = certificate.settings()
        self.backstay.settings["log"] = {"file": os.path.join(self.backstay.directory, "mail.log")}
        self.backstay.write_config()
        self.backstay.start()
        self.assertIn(f"user {USER} may not read {certificate.key}: a reload will be refused",
                      self.backstay.log())
        self.assertIn(f"may not write {self.backstay.settings['log']['file']}", self.backstay.log())
        self.hang_up(f"{certificate.key}: Permission denied")
        self.assertIn(f"the daemon is user {USER} now and no longer root", self.backstay.log())
        self.assertIn("no longer root", self.ask("reload", expect=1).stderr)
        self.managed(tls_peers.TlsWire(self.backstay.port, tls_peers.context(certificate)))
        os.chown(certificate.key, -1, self.account.pw_gid)
        os.chmod(certificate.key, 0o640)
        self.hang_up("configuration reloaded")

    def test_another_user_needs_a_restart(self):
        self.backstay.start()
        self.backstay.settings["user"] = "daemon"
        self.backstay.write_config()
        self.hang_up("reload refused, the old configuration stays: user needs a restart")
        wire.send_message(self.backstay.port, CONTENT)

    def test_without_root_it_stays_what_it_is_and_says_so(self):
        os.mkdir(self.backstay.spool)
        own(self.backstay.directory, self.account.pw_uid, self.account.pw_gid)
        self.backstay.binary = shutil.copy(self.backstay.binary, self.directory)
        self.backstay.limits = ["setpriv", f"--reuid={self.account.pw_uid}",
                                f"--regid={self.account.pw_gid}", "--clear-groups"]
        self.backstay.settings["user"] = "daemon"
        self.backstay.port = harness.free_port()
        self.backstay.settings["smtp"]["listen"] = [f"127.0.0.1:{self.backstay.port}"]
        self.backstay.write_config()
        self.backstay.start()
        self.assertIn('user = "daemon" is not in effect: the daemon was not started as root, and '
                      f"stays with user id {self.account.pw_uid}", self.backstay.log())
        wire.send_message(self.backstay.port, CONTENT)
        self.assertEqual(self.backstay.stop(), 0)

    def test_an_unknown_user_is_a_mistake_with_a_place(self):
        self.backstay.settings["user"] = "no-such-user"
        self.backstay.write_config()
        with open(self.backstay.config_path, encoding="utf-8") as file:
            line = next(n for n, text in enumerate(file, 1) if text.startswith("user ="))
        for arguments in (["--check"], []):
            done = self.backstay.run(*arguments)
            self.assertEqual(done.returncode, 78)
            self.assertIn(f'{self.backstay.config_path}:{line}:8: there is no user "no-such-user"',
                          done.stderr)
        self.assertFalse(os.path.exists(self.backstay.spool))


if __name__ == "__main__":
    unittest.main(verbosity=2)

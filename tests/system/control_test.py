#!/usr/bin/env python3
# tests/system/control_test.py -- the operator's verbs against a running daemon, and its socket.
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
import time
import unittest

import harness
import sinks
import tls_peers
import wire

NOBODY = 65534
BODY = b"Subject: x\r\n\r\nx\r\n"


def send(port, recipients, sender=b"s@load.test"):
    """The queue id."""
    with wire.Wire(port) as client:
        client.hello()
        for command in [b"MAIL FROM:<%s>" % sender, *(b"RCPT TO:<%s>" % name for name in recipients),
                        b"DATA"]:
            reply = client.command(command)
            assert reply[:1] in b"23", reply
        client.send(BODY + b".\r\n")
        return harness.QUEUED.search(client.reply())[1].decode()


class Control(harness.SystemTest):
    """Two domains with a primary of their own; both are down until a test says otherwise."""

    def setUp(self):
        super().setUp()
        self.sink = self.managed(sinks.RecordingSink())
        self.other = self.managed(sinks.RecordingSink())
        self.daemon_ = self.daemon(self.sink.port, {
            "smtp": {"shards": 2}, "spool": {"segment_size": "4MiB"}})
        self.daemon_.settings["domain"] = [
            {"name": "example.com", "primary": [f"127.0.0.1:{self.sink.port}"]},
            {"name": "example.net", "primary": [f"127.0.0.1:{self.other.port}"]},
            {"name": "example.org", "primary": [f"127.0.0.1:{self.other.port}"]}]
        self.daemon_.write_config()
        self.endpoint = self.daemon_.settings["admin"]["socket"]

    def verb(self, *arguments, expect=0, user=None, endpoint=None):
        command = [harness.binary("backstay"), "--endpoint", endpoint or self.endpoint, *arguments]
        if user is not None:
            command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
        done = subprocess.run(command, capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
                              check=False)
        self.assertEqual(done.returncode, expect, (arguments, done))
        self.assertNotRegex(done.stderr.decode(), harness.ALARMS)
        return done

    def rows(self, *arguments):
        return [json.loads(line) for line in self.verb(*arguments, "--json").stdout.splitlines()]

    def order(self, *arguments):
        """How many recipients it speaks for."""
        (row,) = self.rows("queue", *arguments, "--yes")
        self.assertFalse(row["dry_run"])
        return row["recipients"]

    def domains(self):
        return {row["domain"]: row for row in self.rows("primary", "list")}

    def queued(self):
        return {name: row["queued"] for name, row in self.domains().items()}

    def state(self, queue_id):
        (row,) = self.rows("queue", "show", queue_id)
        return row["recipients"][0]["state"], row["recipients"][0]["reason"]

    def fill(self, com=6, net=4):
        """Queue ids of mail for the two domains, in connections over both shards."""
        return ([send(self.daemon_.port, [b"a%d@example.com" % i]) for i in range(com)],
                [send(self.daemon_.port, [b"b%d@example.net" % i]) for i in range(net)])

    def restart_after_kill(self):
        """Mail is taken before all that was on disk is known."""
        self.daemon_.kill()
        self.daemon_.start()
        harness.wait_until(lambda: self.rows("status")[0]["ready"], 10, "the whole queue")

    def wait_down(self):
        harness.wait_until(lambda: self.domains()["example.com"]["state"] == "down", 10,
                           "the primary is seen to be down")


class Orders(Control):
    def test_hold_release_and_new_mail(self):
        self.daemon_.start()
        com, net = self.fill()
        self.assertEqual(self.order("hold", "--domain", "Example.COM."), len(com))
        self.assertEqual(self.domains()["example.com"]["held"], len(com))
        self.assertEqual(self.domains()["example.net"]["held"], 0)
        self.assertEqual(self.state(com[0]), ("held", "held by the operator"))
        self.sink.up()
        self.other.up()
        self.other.wait_for(len(net), 20)
        send(self.daemon_.port, [b"new@example.com"])  # later than the hold
        self.sink.wait_for(1, 20)
        time.sleep(0.5)
        self.assertEqual(len(self.sink.messages), 1)
        self.assertEqual(self.queued()["example.com"], len(com))
        self.assertEqual(self.order("release", "--all"), len(com))
        self.sink.wait_for(len(com) + 1, 20)
        harness.wait_until(lambda: sum(self.queued().values()) == 0, 10, "an empty queue")

    def test_a_slip_in_a_domains_name_is_told(self):
        self.daemon_.start()
        done = self.verb("primary", "hold", "exmaple.com", expect=1)
        self.assertIn(b"exmaple.com is not configured", done.stderr)
        self.verb("primary", "hold", "example.com")
        for wrong in (("primary", "release", "exmaple.com"), ("primary", "probe", "exmaple.com"),
                      ("queue", "flush", "--domain", "example.net", "--domain", "exmaple.com"),
                      ("queue", "flush", "--destination", "example.net", "--destination",
                       "exmaple.com"),
                      ("primary", "show", "exmaple.com")):
            self.assertIn(b"exmaple.com is no", self.verb(*wrong, expect=1).stderr, wrong)
        self.assertEqual(self.domains()["example.com"]["state"], "held")
        self.verb("primary", "release", "Example.COM.")
        self.assertNotEqual(self.domains()["example.com"]["state"], "held")
        self.assertIn(b"example.com: ", self.verb("primary", "show", "Example.COM.").stdout)

    def test_a_destination_to_flush_may_be_named_by_its_domain(self):
        self.daemon_.start()
        _, net = self.fill()
        self.other.up()  # of example.net and example.org
        (row,) = self.rows("queue", "flush", "--destination", "example.org")
        self.assertLessEqual(row["recipients"], len(net))
        self.assertIn("queue flush or primary probe example.net example.org: ", self.daemon_.log())
        self.other.wait_for(len(net), 20)

    def test_delete_by_destination_counts_first_and_asks(self):
        self.daemon_.start()
        com, net = self.fill()
        self.wait_down()
        self.assertIn(b"--yes", self.verb("queue", "delete", "--all", expect=64).stderr)
        (row,) = self.rows("queue", "delete", "--all", "--dry-run")
        self.assertEqual(row, {"verb": "delete", "recipients": len(com) + len(net),
                               "dry_run": True})
        self.assertEqual(sum(self.queued().values()), len(com) + len(net))
        log = self.daemon_.log()
        self.assertNotIn("queue delete", log)
        # The primary of example.net is example.org's too.
        self.assertEqual(self.order("delete", "--destination", "example.org"), len(net))
        self.assertEqual(self.queued(), {"example.com": len(com), "example.net": 0,
                                         "example.org": 0})
        self.assertEqual(self.order("delete", "--destination", f"127.0.0.1:{self.sink.port}"),
                         len(com))
        self.assertIn(b"no primary", self.verb("queue", "delete", "--destination", "nowhere.test",
                                               "--yes", expect=1).stderr)
        self.assertRegex(self.daemon_.log(), rf"admin: uid {os.getuid()} \(pid \d+\): queue delete "
                                             rf"example\.net example\.org: {len(net)} recipients")

    def test_a_destination_with_other_selectors_spares_other_primaries(self):
        self.daemon_.start()
        com, net = self.fill()
        address = f"127.0.0.1:{self.other.port}"
        for selector in (("--older", "0s"), ("--sender", "s@load.test")):
            (row,) = self.rows("queue", "delete", "--destination", address, *selector, "--dry-run")
            self.assertEqual(row["recipients"], len(net))
            self.assertIn(b"no primary", self.verb("queue", "delete", "--destination",
                                                   "nowhere.test", *selector, "--yes",
                                                   expect=1).stderr)
        self.assertEqual(self.order("delete", "--destination", address, "--older", "0s"), len(net))
        self.assertEqual(self.queued(), {"example.com": len(com), "example.net": 0,
                                         "example.org": 0})
        # What is meant by these is not plain.
        for others in (["--domain", "example.net"], ["--destination", address], ["--all"]):
            self.verb("queue", "delete", com[0], *others, "--yes", expect=64)
            self.verb("queue", "delete", "--all", "--domain", "example.com", *others, "--yes",
                      expect=64)
        self.assertEqual(sum(self.queued().values()), len(com))

    def test_no_sender_is_a_sender_too(self):
        self.daemon_.start()
        com, net = self.fill()
        for number, sender in enumerate(("", "<>")):
            reports = [send(self.daemon_.port, [b"r@example.com"], sender=b"") for _ in range(2)]
            self.assertEqual(self.order("hold", "--domain", "example.com", "--sender", sender), 2)
            self.assertEqual(self.order("delete", "--domain", "example.com", "--sender", sender), 2)
            self.verb("queue", "delete", "--domain", "example.com", "--sender", sender, "--yes",
                      expect=1)
            self.verb("queue", "show", reports[number], expect=1)
        for wrong in ("", "foo"):
            self.assertIn(b"active, due, deferred, held, ", self.verb(
                "queue", "delete", "--domain", "example.com", "--state", wrong, "--yes",
                expect=64).stderr)
        self.assertEqual(self.queued()["example.com"], len(com))
        self.assertEqual(self.queued()["example.net"], len(net))

    def test_an_order_by_a_list_wants_all_of_the_list(self):
        """While a start reads the spool a list may lack what is older."""
        path = f"{self.directory}/daemon.sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            listener.settimeout(20)
            command = [harness.binary("backstay"), "--endpoint", path, "queue", "delete",
                       "--older", "5d", "--yes"]
            with subprocess.Popen(command, stderr=subprocess.PIPE) as order:
                client, _ = listener.accept()
                with client, client.makefile() as lines:
                    request = json.loads(lines.readline())
                    client.sendall(b'{"result":"busy","message":"not yet"}\n')
                    error = order.stderr.read()
        self.assertEqual((request["verb"], request["older"], request["whole"]),
                         ("list", "5d", True))
        self.assertEqual((order.returncode, b"not yet" in error), (75, True), error)

    def test_a_release_may_be_counted(self):
        self.daemon_.start()
        com, _ = self.fill()
        for verb, flags in (("hold", ()), ("release", ()), ("release", ("--accept-refusals",))):
            (row,) = self.rows("primary", verb, *flags, "--dry-run", "example.com")
            self.assertEqual(row, {"verb": verb, "recipients": len(com), "dry_run": True})
            self.assertEqual(self.domains()["example.com"]["held"], 0)
        self.assertIn(b"--yes", self.verb("primary", "release", "--accept-refusals", "example.com",
                                          expect=64).stderr)
        self.assertNotIn("primary release", self.daemon_.log())

    def test_bounce_owes_a_report_and_reset_begins_anew(self):
        self.sink.script = lambda verb, argument, _: \
            b"450 4.2.2 mailbox full" if verb == "RCPT" and "a0@" in argument else None
        self.sink.up()
        self.daemon_.start()
        com, net = self.fill()
        self.sink.wait_for(len(com) - 1, 20)
        harness.wait_until(lambda: self.state(com[0])[0] == "deferred", 10, "its own 4xx")
        (row,) = self.rows("queue", "show", com[0])
        self.assertIn("450 4.2.2 mailbox full", row["recipients"][0]["reason"])
        self.assertEqual(row["recipients"][0]["attempts"], 1)
        self.assertGreater(row["recipients"][0]["next_try"], row["arrival"])
        self.assertGreater(row["recipients"][0]["expires"], row["recipients"][0]["next_try"])
        (primary,) = [item for item in self.rows("status") if item.get("primary", "").endswith(
            f":{self.sink.port}")]
        self.assertEqual((primary["next"], primary["next_in"] > 60), ("retry", True), primary)
        self.sink.script = None
        self.assertEqual(self.order("reset", "--domain", "example.com", "--keep-age"), 1)
        self.sink.wait_for(len(com), 10)  # not in ten minutes
        self.assertEqual(self.order("bounce", "--domain", "example.net"), len(net))
        harness.wait_until(lambda: self.rows("status")[0]["dsn_pending"] == len(net), 10,
                           "reports are owed")
        shown = self.verb("queue", "show", net[0]).stdout.decode()
        self.assertRegex(shown, r"(?m)^recipient <b0@example\.net>\nstate     dsn pending\n"
                                r"reason    failed.*; its sender will be told when there is a "
                                r"route \(dsn\.route is \"off\"\)$")
        self.assertNotIn("next try", shown)
        self.assertNotIn(net[0].encode(), self.verb("queue", "list").stdout)
        for meant, count in (((net[0],), 1), (("--domain", "example.net"), len(net))):
            self.assertIn(b"delete: 0 recipients and %d reports that are owed\n" % count,
                          self.verb("queue", "delete", *meant, "--dry-run").stdout)
        (row,) = self.rows("queue", "delete", net[0], "--yes")
        self.assertEqual((row["recipients"], row["reports"]), (0, 1))
        self.assertIn(f"queue delete: 1 messages by id: {net[0]}, 0 recipients and 1 reports",
                      self.daemon_.log())
        gone = self.verb("queue", "show", net[0], expect=1).stderr
        self.assertIn(b"does not wait here", gone)
        self.assertIn(b"or its place is damaged: `backstay spool verify` says so", gone)

    def test_messages_by_id_and_by_what_they_have_in_common(self):
        self.daemon_.start()
        com, net = self.fill()
        odd = [send(self.daemon_.port, [b"c@example.com"], sender=b"odd@load.test")
               for _ in range(3)]
        self.assertEqual(self.order("hold", com[0], net[0], odd[0]), 3)
        self.assertEqual(self.state(com[0])[0], "held")
        self.assertNotEqual(self.state(com[1])[0], "held")
        self.assertEqual(self.order("delete", "--sender", "odd@load.test", "--older", "0s"), 3)
        self.assertIn("queue delete --sender odd@load.test --older 0s: 3 messages by id: ",
                      self.daemon_.log())
        self.assertEqual(self.order("delete", com[1]), 1)
        self.assertIn(b"1 do not wait here", self.verb(
            "queue", "reset", com[1], com[2], "--yes").stderr)
        self.verb("queue", "delete", com[1], "--yes", expect=1)
        self.verb("queue", "delete", "--sender", "nobody@load.test", "--yes", expect=1)
        self.verb("queue", "delete", "--older", "1h", "--yes", expect=1)
        self.verb("queue", "delete", "--older", "5d", "--yes", expect=1)
        for wrong in ("soon", "1h30m", ""):
            done = self.verb("queue", "delete", "--older", wrong, "--yes", expect=64)
            self.assertIn(b"is not a duration", done.stderr)
            self.verb("queue", "list", "--older", wrong, expect=64)
        self.assertEqual(self.rows("queue", "list", "--older", "1h"), [])
        self.verb("queue", "delete", "no-id", "--yes", expect=64)
        self.restart_after_kill()
        self.assertEqual(self.state(com[0])[0], "held")
        self.assertEqual(self.order("release", "--state", "held"), 2)
        self.sink.up()
        self.other.up()
        self.sink.wait_for(len(com) - 1, 20)
        self.other.wait_for(len(net), 20)
        harness.wait_until(lambda: sum(self.queued().values()) == 0, 10, "an empty queue")

    def test_whole_messages_are_meant_and_other_domains_of_theirs_are_counted(self):
        self.daemon_.start()
        com, _ = self.fill(3, 0)
        send(self.daemon_.port, [b"x@example.com", b"y@example.net", b"z@example.org"])
        chosen = ("--domain", "example.com", "--older", "0s")
        row = {"verb": "delete", "recipients": len(com) + 3, "dry_run": True, "elsewhere": 2}
        self.assertEqual(self.rows("queue", "delete", *chosen, "--dry-run"), [row])
        told = b"6 recipients, 2 of them in other domains"
        self.assertIn(told, self.verb("queue", "delete", *chosen, "--dry-run").stdout)
        self.assertIn(told, self.verb("queue", "delete", *chosen, expect=64).stderr)
        # What is not held is not released.
        self.verb("queue", "hold", "--domain", "example.net", "--yes")
        (row,) = self.rows("queue", "release", *chosen, "--dry-run")
        self.assertEqual((row["recipients"], row["elsewhere"]), (1, 1))
        # A rule for a domain speaks for it alone, and one for all has nothing else.
        for plain in (("--domain", "example.com"), ("--all",)):
            self.assertNotIn("elsewhere", self.rows("queue", "delete", *plain, "--dry-run")[0])
        self.assertNotIn("elsewhere", self.rows("queue", "delete", "--older", "0s", "--dry-run")[0])
        (row,) = self.rows("queue", "delete", *chosen, "--domain", "example.net", "--domain",
                           "example.org", "--dry-run")
        self.assertEqual(row["elsewhere"], 0)
        address = f"127.0.0.1:{self.other.port}"
        (row,) = self.rows("queue", "delete", "--destination", address, "--older", "0s",
                           "--dry-run")
        self.assertEqual((row["recipients"], row["elsewhere"]), (3, 1))

    def test_what_was_done_before_an_order_failed_is_told(self):
        answers = [b'{"result":"ok","recipients":%d}\n' % count for count in (8192, 8, 8192)]
        asked = []

        def answer(server):
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as lines:
                for reply in [*answers, b'{"result":"busy","message":"too many"}\n']:
                    asked.append(json.loads(lines.readline()))
                    connection.sendall(reply)

        path = f"{self.directory}/stub.sock"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen()
            server.settimeout(20)
            thread = threading.Thread(target=answer, args=(server,))
            thread.start()
            ids = ["%016d" % number for number in range(8200)]
            done = self.verb("queue", "delete", *ids, "--yes", endpoint=path, expect=75)
            thread.join()
        self.assertEqual([(len(item["ids"]), item["dry_run"]) for item in asked],
                         [(8192, True), (8, True), (8192, False), (8, False)])
        self.assertIn(b"too many", done.stderr)
        self.assertIn(b"delete was done for 8,192 recipients", done.stderr)

    def test_what_returned_is_in_force_after_a_kill(self):
        self.daemon_.start()
        com, net = self.fill()
        for number in range(3):
            verb = ("hold", "release", "hold")[number]
            self.order(verb, "--domain", "example.com")
            self.restart_after_kill()
            held = len(com) if verb == "hold" else 0
            self.assertEqual(self.domains()["example.com"]["held"], held, verb)
        self.assertEqual(self.order("delete", "--domain", "example.net"), len(net))
        self.restart_after_kill()
        self.assertEqual(self.queued(), {"example.com": len(com), "example.net": 0,
                                         "example.org": 0})
        self.assertEqual(self.order("reset", "--all"), len(com))
        self.daemon_.kill()
        self.sink.up()
        self.daemon_.start()
        time.sleep(1)
        self.assertEqual(self.sink.messages, [])  # still held: a reset releases nothing

    def test_thousands_of_domains_take_several_rules(self):
        self.daemon_.start()
        com, _ = self.fill()
        self.wait_down()
        names = [name for i in range(2000) for name in ("--domain", f"domain-{i}.example")]
        self.assertEqual(self.order("hold", *names, "--domain", "example.com"), len(com))
        self.assertEqual(self.domains()["example.com"]["held"], len(com))
        self.assertIn("and 1993 more: ", self.daemon_.log())
        self.restart_after_kill()
        self.assertEqual(self.domains()["example.com"]["held"], len(com))


class Reports(Control):
    def test_status_and_primary_list(self):
        self.daemon_.start()
        self.assertEqual(self.domains()["example.com"], {
            "domain": "example.com", "state": "up", "reason": "", "queued": 0, "oldest": None,
            "held": 0, "primary": f"127.0.0.1:{self.sink.port}", "outages": [],
            "expires": None,
            "ledger": {"accepted": 0, "generated": 0, "delivered": 0, "bounced": 0,
                       "discarded": 0, "quarantined": 0, "queued": 0},
            "addresses": [f"127.0.0.1:{self.sink.port}"]})
        self.assertIn(b"\naddress  127.0.0.1:%d\n" % self.sink.port,
                      self.verb("primary", "show", "example.com").stdout)
        com, net = self.fill()
        self.wait_down()
        row = self.domains()["example.com"]
        self.assertIn("refused", row["reason"])
        self.assertEqual((row["queued"], row["oldest"] < 60), (len(com), True))
        daemon, *primaries = self.rows("status")
        self.assertEqual((daemon["queued"], daemon["messages"], daemon["accepted"],
                          daemon["shards"], daemon["ready"]),
                         (len(com) + len(net), len(com) + len(net), len(com) + len(net), 2, True))
        self.assertEqual({item["primary"]: (item["domains"], item["queued"])
                          for item in primaries},
                         {f"127.0.0.1:{self.sink.port}": (1, len(com)),
                          f"127.0.0.1:{self.other.port}": (2, len(net))})
        self.assertGreater(daemon["accepted_per_second"], 0)
        harness.wait_until(lambda: all(item["next"] == "probe" and item["next_in"] <= 2
                                       for item in self.rows("status")[1:]), 10,
                           "both are down, and probed every second")
        self.assertRegex(self.verb("status").stdout.decode(),
                         r"OLDEST +NEXT +REASON *\n127\.0\.0\.1:\d+ +down .* probe [012]s ")
        self.assertIn(b"since start accepted 10 messages, 0 not stored; delivered 0 recipients, ",
                      self.verb("status").stdout)
        for arguments, words in ((("status",), b"queued 10 recipients, 0 dsn pending, in 10 "),
                                 (("primary", "list"), b"example.org"),
                                 (("queue", "list"), com[0].encode()),
                                 (("queue", "show", net[0]), b"next try")):
            done = self.verb(*arguments)
            self.assertIn(words, done.stdout)
            self.assertEqual(done.stderr, b"")

    def test_the_ledger_balances_over_restarts(self):
        def ledger(**counts):
            names = ("accepted", "generated", "delivered", "bounced", "discarded", "quarantined",
                     "queued")
            return {name: counts.get(name, 0) for name in names}

        self.daemon_.settings["dsn"] = {"route": f"127.0.0.1:{self.other.port}"}
        self.daemon_.write_config()
        self.daemon_.start()
        com, net = self.fill()
        self.wait_down()
        self.verb("queue", "delete", "--yes", net[0], net[1])
        self.verb("queue", "bounce", "--yes", com[0])
        self.sink.up()
        harness.wait_until(lambda: self.domains()["example.com"]["ledger"]["queued"] == 0, 20,
                           "the mail is handed on, and the report is made")
        time.sleep(1)  # until what is settled is in the log
        for _ in range(3):
            rows = self.domains()
            (daemon, *_rest) = self.rows("status")
            self.assertEqual(rows["example.com"]["ledger"],
                             ledger(accepted=len(com), delivered=len(com) - 1, bounced=1))
            self.assertEqual(rows["example.net"]["ledger"],
                             ledger(accepted=len(net), discarded=2, queued=2))
            # The report waits for a place to go.
            self.assertEqual(daemon["ledger"], ledger(
                accepted=len(com) + len(net), generated=1, delivered=len(com) - 1, bounced=1,
                discarded=2, queued=3))
            self.assertLess(daemon["ledger_since"], time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                                                  time.gmtime(time.time() + 1)))
            self.restart_after_kill()
        shown = self.verb("primary", "show", "example.com").stdout
        self.assertIn(b"ledger   6 accepted + 0 generated = 5 delivered + 1 bounced + ", shown)
        self.assertIn(b"10 accepted + 1 generated = 5 delivered + 1 bounced + 2 discarded + "
                      b"0 quarantined + 3 queued", self.verb("status").stdout)

    def test_a_charged_retry_is_seen(self):
        self.daemon_.settings["retry"] = {"schedule": ["1s", "1s", "1s", "1h"], "max_retries": 4}
        self.daemon_.write_config()
        self.daemon_.start()
        queue_id = send(self.daemon_.port, [b"a@example.com"])

        def recipient(*arguments):
            return self.rows("queue", *arguments)[0]["recipients"][0]
        harness.wait_until(lambda: recipient("show", queue_id)["retries"] == 3, 10,
                           "three retries are charged")
        for row in (recipient("show", queue_id), recipient("list")):
            self.assertEqual((row["attempts"], row["retries"], row["max_retries"]), (0, 3, 4))
        self.assertRegex(self.verb("queue", "show", queue_id).stdout.decode(),
                         r"(?m)^attempts  0\nretries   3 of 4 charged$")

    def test_top_tells_the_status_again_and_again(self):
        self.daemon_.start()
        self.fill()
        for count in (1, 2):
            rows = self.rows("top", "--count", str(count), "--interval", "1s")
            self.assertEqual([(row["kind"], row["queued"]) for row in rows],
                             [("daemon", 10)] * count)
        text = self.verb("top", "--count", "2", "--interval", "1s").stdout
        self.assertEqual(text.count(b"queued 10 recipients, 0 dsn pending, in 10 messages"), 2)
        self.assertEqual(text.count(b"PRIMARY"), 2)
        self.assertNotIn(b"\x1b", text)  # no terminal to be cleared
        self.assertIn(b"--interval", self.verb("top", "--interval", "0", expect=64).stderr)
        command = [harness.binary("backstay"), "--endpoint", self.endpoint, "top", "--json",
                   "--interval", "1s"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as top:
            self.assertTrue(top.stdout.readline())  # each line leaves at once
            self.assertTrue(top.stdout.readline())
            top.terminate()
            self.assertEqual(top.wait(20), -signal.SIGTERM)

    def test_a_list_says_that_there_is_more_when_there_is(self):
        self.daemon_.start()
        self.fill(1001, 0)
        for limit, words in (("1001", b""), ("1000", b"only the first 1000"), ("0", b"")):
            done = self.verb("queue", "list", "--limit", limit)
            self.assertIn(words, done.stderr)
            self.assertEqual(done.stderr == b"", words == b"", limit)
            self.assertEqual(done.stdout.count(b"\n") - 1, int(limit) or 1001)
        self.assertEqual(self.verb("queue", "list").stdout.count(b"\n") - 1, 1000)
        self.assertEqual(len(self.rows("queue", "list")), 1001)

    def test_lists_are_whole_limited_and_tell_each_message_once(self):
        self.daemon_.start()
        com, net = self.fill(150, 20)
        both = send(self.daemon_.port, [b"x@example.com", b"y@example.net"], b"")
        listed = [row["queue_id"] for row in self.rows("queue", "list", "--limit", "0")]
        self.assertEqual(sorted(listed), sorted(com + net + [both]))
        of_net = [row["queue_id"] for row in self.rows("queue", "list", "--domain", "example.net")]
        self.assertEqual(sorted(of_net), sorted(net + [both]))
        self.assertEqual(len(self.rows("queue", "list", "--limit", "7")), 7)
        self.wait_down()
        mailq = {row["queue_id"]: row for row in self.rows("mailq")}
        self.assertEqual(sorted(mailq), sorted(listed))
        row = mailq[both]
        self.assertEqual(list(row), ["queue_name", "queue_id", "arrival_time", "message_size",
                                     "forced_expire", "sender", "recipients"])
        self.assertEqual((row["queue_name"], row["sender"], row["forced_expire"]),
                         ("deferred", "MAILER-DAEMON", False))
        self.assertTrue(time.time() - 60 < row["arrival_time"] <= time.time())
        self.assertEqual(sorted(item["address"] for item in row["recipients"]),
                         ["x@example.com", "y@example.net"])
        self.assertIn("primary down", row["recipients"][0]["delay_reason"])
        text = self.verb("mailq").stdout.decode()
        self.assertRegex(text, rf"(?m)^-- \d+ Kbytes in {len(listed)} Requests\.$")
        self.order("hold", "--domain", "example.net")
        self.assertEqual({row["queue_name"] for row in self.rows("mailq")
                          if row["queue_id"] in net}, {"hold"})
        self.order("delete", "--all")
        self.assertEqual(self.verb("mailq").stdout, b"Mail queue is empty\n")

    def test_a_removed_domain_is_told_and_reload_says_what_it_did(self):
        self.daemon_.start()
        com, _ = self.fill()
        removed = self.daemon_.settings["domain"].pop(0)
        self.daemon_.write_config()
        self.verb("reload")
        row = self.domains()["example.com"]
        self.assertEqual((row["state"], row["reason"], row["held"]), ("held", "removed", len(com)))
        self.assertIn(b"\nprimary  (not configured)\n",
                      self.verb("primary", "show", "example.com").stdout)
        self.assertEqual(self.state(com[0]), ("held", "its domain is not configured"))
        self.daemon_.write_config("[smtp]\nlisten = 3\nnonsense = 4\n")
        refused = self.verb("reload", expect=1).stderr.decode()
        self.assertRegex(refused, r"(?m)^backstay: \S+backstay.toml:2:10: ")
        self.assertIn("nonsense", refused)
        self.assertIn(b"nonsense", self.verb("check-config", self.daemon_.config_path,
                                             expect=78).stderr)
        self.daemon_.settings["domain"].append(removed)
        self.daemon_.write_config()
        self.assertIn(b"is valid", self.verb("check-config", self.daemon_.config_path).stdout)
        self.verb("reload")
        self.sink.up()
        self.sink.wait_for(len(com), 20)


class Words(Control):
    def doctor(self, expect):
        done = self.verb("doctor", self.daemon_.config_path, "--json", expect=expect)
        checks = {}
        for line in done.stdout.splitlines():
            row = json.loads(line)
            checks.setdefault(row["subject"], []).append((row["verdict"], row["text"]))
        return checks

    def test_the_doctor_names_what_would_not_work(self):
        self.sink.up()
        checks = self.doctor(expect=0)
        self.assertEqual(checks["configuration"][0][0], "ok")
        self.assertEqual(checks["kernel"], [("ok", "has what is needed")])
        self.assertEqual(checks["daemon"][0][0], "warning")
        self.assertEqual(checks["listen"][0][0], "ok")
        self.assertEqual({(verdict, text.split(": ")[0]) for verdict, text in checks["primary"]},
                         {("ok", f"127.0.0.1:{self.sink.port}"),
                          ("warning", f"127.0.0.1:{self.other.port}")})
        os.makedirs(self.daemon_.settings["spool"]["directory"], exist_ok=True)
        self.assertRegex(self.doctor(expect=0)["disk sync"][0][1], r"after \d+\.\d ms")
        self.daemon_.start()
        checks = self.doctor(expect=0)
        self.assertEqual(checks["daemon"][0][0], "ok")
        self.assertNotIn("listen", checks)
        self.daemon_.stop()
        with socket.create_server(("127.0.0.1", self.daemon_.port)):
            self.assertIn("in use", self.doctor(expect=1)["listen"][0][1])
        in_memory = f"/dev/shm/backstay-doctor-{os.getpid()}"
        os.makedirs(in_memory)
        try:
            self.daemon_.settings["spool"]["directory"] = in_memory
            self.daemon_.write_config()
            self.assertIn("in memory", self.doctor(expect=1)["spool"][0][1])
        finally:
            os.rmdir(in_memory)
        shown = tls_peers.Certificate(self.directory, "shown", expired=True)
        self.daemon_.settings["delivery"] = {"client_certificate": shown.path,
                                             "client_key": shown.key}
        self.daemon_.write_config()
        verdict, text = self.doctor(expect=1)["client certificate"][0]
        self.assertEqual((verdict, "expired on" in text), ("wrong", True), text)
        self.assertIn(b"tls: ", self.verb("check-config", self.daemon_.config_path).stderr)
        self.daemon_.write_config("nonsense")
        self.assertEqual(self.doctor(expect=1)["configuration"][0][0], "wrong")

    def test_the_doctor_names_the_primaries_that_it_does_not_look_at(self):
        self.daemon_.settings["domain"] = [
            {"name": "example.com", "primary": [f"127.0.0.1:{self.sink.port}", "mx.name.test"]},
            {"name": "example.net", "primary": "mx"}]
        self.daemon_.write_config()
        self.assertEqual([text for verdict, text in self.doctor(expect=0)["primary"]
                          if verdict == "skipped"],
                         ["example.net: by its MX records: not looked at",
                          "mx.name.test:25: by name: not looked at"])

    def test_help_and_mistakes(self):
        for verb in ("queue", "queue reset", "queue hold", "queue release", "queue bounce",
                     "queue delete", "queue flush", "queue list", "queue show", "status",
                     "primary list", "primary show", "primary hold", "primary release",
                     "primary probe", "mailq",
                     "reload", "check-config", "doctor", "top"):
            done = self.verb(*verb.split(), "--help")
            self.assertEqual(done.stderr, b"")
            self.assertLessEqual(max(map(len, done.stdout.decode().splitlines())), 100, verb)
            self.assertEqual(b"do not ask" in done.stdout,
                             verb in ("queue reset", "queue hold", "queue release", "queue bounce",
                                      "queue delete", "primary release"), verb)
        self.assertIn(b"is held is given up, too", self.verb("queue", "bounce", "--help").stdout)
        self.daemon_.start()
        for arguments, words in (
                (("queue",), b"--help"), (("queue", "explode"), b"--help"),
                (("stauts", "--json"), b"there is no verb 'stauts'"),
                (("stauts",), b"status, top, reload, "), (("queue", "explode"), b"verb 'explode'"),
                (("queue", "explode"), b"reset, hold, release, "), (("--nonsense",), b"verb is"),
                (("queue", "list", "--limit", "-1"),
                 b"--limit: '-1' is no whole number from 0 to 18446744073709551615\n"),
                (("queue", "list", "--limit", "x"), b"--limit: 'x' is no whole number from 0 to "),
                (("top", "--count", "-1"), b"--count: '-1' is no whole number from 0 to "),
                (("top", "--count", "1e3"), b"--count: '1e3' is no whole number from 0 to "),
                (("queue", "show"), b"QUEUE_ID"), (("queue", "show", "AEIOU"), b"no queue id"),
                (("queue", "delete", "--yes"), b"either --all, or --domain and --destination, or "
                 b"queue ids are wanted; --sender, --older and --state "),
                (("queue", "delete", "--all", "--domain", "example.com", "--yes"), b"either --all"),
                (("queue", "hold", "--all", "--keep-age"), b"keep-age"),
                (("queue", "flush"), b"either --all, or --domain and --destination are wanted\n"),
                (("queue", "flush", "--all", "--domain", "example.com"), b"either --all"),
                (("primary", "hold"), b"DOMAIN"),
                (("queue", "hold", "--domain", "x" * 300, "--yes"), b"255 bytes")):
            self.assertIn(words, self.verb(*arguments, expect=64).stderr, arguments)
        missing = self.verb("status", endpoint=f"{self.directory}/none", expect=69)
        self.assertIn(b"BACKSTAY_ENDPOINT", missing.stderr)
        done = subprocess.run([harness.binary("backstay"), "status"], capture_output=True,
                              timeout=20, check=False, stdin=subprocess.DEVNULL,
                              env={**os.environ, "BACKSTAY_ENDPOINT": self.endpoint})
        self.assertEqual(done.returncode, 0, done)
        with open("/dev/full", "wb") as full:
            done = subprocess.run([harness.binary("backstay"), "--endpoint", self.endpoint,
                                   "status"], stdout=full, stderr=subprocess.PIPE, timeout=20,
                                  check=False)
        self.assertEqual(done.returncode, 74)


class Socket(Control):
    def connect(self):
        client = self.managed(socket.socket(socket.AF_UNIX))
        client.settimeout(20)
        client.connect(self.endpoint)
        return client

    def answer(self, client):
        """The lines up to the result, or to the end."""
        data = b""
        while b'"result"' not in data or not data.endswith(b"\n"):
            piece = client.recv(65536)
            if not piece:
                break
            data += piece
        return [json.loads(line) for line in data.splitlines()]

    def ask(self, line):
        client = self.connect()
        client.sendall(line)
        return self.answer(client)[-1]["result"]

    def test_junk_is_answered_and_harms_nobody(self):
        self.daemon_.start()
        self.fill()
        for junk in (b"\n", b"GET / HTTP/1.1\r\n\r\n", b"{}\n", b"[]\n", b"null\n", b"[" * 100000 +
                     b"\n", b'{"verb":"explode"}\n', b'{"verb":"delete"}\n', b"\x00\xff\n",
                     b'{"verb":"delete","all":"yes"}\n', b'{"verb":"delete","all":true,"x":1}\n',
                     b'{"verb":"delete","domains":[1]}\n', b'{"verb":"show","id":"AEIOU"}\n',
                     b'{"verb":"delete","all":true,"domains":["example.com"]}\n'):
            self.assertEqual(self.ask(junk), "usage", junk[:80])
        self.assertEqual(self.ask(b"x" * 300000), "usage")
        for number in range(100):  # half a request, or several, and gone
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(self.endpoint)
                client.sendall((b'{"verb":"list"', b'{"verb":"list"}\n' * 3, b"")[number % 3])
        harness.wait_until(lambda: self.ask(b'{"verb":"status"}\n') == "ok", 10, "free clients")
        self.assertEqual(sum(self.queued().values()), 10)

    def test_two_clients_and_too_many(self):
        self.daemon_.start()
        com, net = self.fill(40, 4)
        slow = self.connect()  # asks and does not read
        slow.sendall(b'{"verb":"list"}\n')
        counts = []

        def count():
            for _ in range(20):
                counts.append(self.order("reset", "--domain", "example.com"))
        threads = [threading.Thread(target=count) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(counts, [len(com)] * 40)
        self.assertEqual(len(self.answer(slow)), len(com) + len(net) + 1)
        slow.sendall(b'{"verb":"list","limit":3}\n')  # the connection goes on
        self.assertEqual(len(self.answer(slow)), 4)
        clients = [self.connect() for _ in range(20)]
        answers = []
        for client in clients[15:]:
            answers += self.answer(client)
        self.assertEqual({item["result"] for item in answers}, {"busy"})
        for client in clients:
            client.close()
        harness.wait_until(lambda: self.ask(b'{"verb":"status"}\n') == "ok", 10, "free clients")

    @unittest.skipUnless(os.getuid() == 0, "only root may become somebody else")
    def test_permissions(self):
        self.daemon_.start()
        mode = os.stat(self.endpoint).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o660)
        os.chmod(self.daemon_.directory, 0o755)
        binary = shutil.copy(harness.binary("backstay"), self.directory)
        os.chmod(binary, 0o755)
        bin_directory, harness.BIN = harness.BIN, self.directory
        self.addCleanup(setattr, harness, "BIN", bin_directory)
        self.verb("status", user=NOBODY, expect=77)
        # The mode is not all that stands between: the kernel says who asks.
        os.chmod(self.endpoint, 0o666)
        done = self.verb("queue", "delete", "--all", "--yes", user=NOBODY, expect=77)
        self.assertIn(b"only root", done.stderr)
        self.assertIn(f"admin: uid {NOBODY} (pid ", self.daemon_.log())
        self.verb("status")

    def test_a_dead_daemons_socket_is_replaced_and_a_living_ones_is_not(self):
        self.daemon_.start()
        self.daemon_.kill()
        self.assertTrue(os.path.exists(self.endpoint))
        self.assertIn(b"no daemon answers", self.verb("status", expect=69).stderr)
        self.daemon_.start()
        self.verb("status")
        second = self.daemon(self.sink.port, {"admin": {"socket": self.endpoint, "listen": ""}})
        second.start()
        self.assertIn("another daemon listens there", second.log())
        second.stop()
        self.assertEqual(self.rows("status")[0]["shards"], 2)  # the first one answers
        self.assertEqual(self.daemon_.stop(), 0)
        self.assertFalse(os.path.exists(self.endpoint))
        with open(self.endpoint, "w", encoding="ascii") as file:
            file.write("precious")
        self.daemon_.start()
        self.assertIn("is no socket", self.daemon_.log())
        with open(self.endpoint, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")

    def test_a_stop_in_the_middle_of_requests(self):
        self.daemon_.start()
        self.fill(100, 10)
        for _ in range(3):
            clients = [self.connect() for _ in range(8)]
            for client in clients:
                client.sendall(b'{"verb":"list"}\n' * 20 + b'{"verb":"reset","all":true}\n')
            self.assertEqual(self.daemon_.stop(), 0)
            for client in clients:
                client.close()
            self.daemon_.start()


if __name__ == "__main__":
    unittest.main(verbosity=2)

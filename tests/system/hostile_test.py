#!/usr/bin/env python3
# tests/system/hostile_test.py -- peers that cheat, flood, stall or vanish.
import os
import random
import re
import resource
import signal
import socket
import time
import unittest

import harness
import peers
import sinks
import wire

MIB = 1 << 20
GOOD = b"Subject: good\r\n\r\nbody\r\n"
# reliability.md B1: the union of what the two public scanners send.
SEQUENCES = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\r.\r\n", b"\r\n.\r",
             b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n"]
SMUGGLED = (b"MAIL FROM:<evil@smuggler.test>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\n"
            b"Subject: smuggled\r\n\r\nsmuggled\r\n.\r\n")


class Smuggling(harness.SystemTest):
    def attack(self, port, head, sequence, cut=None):
        """The reply to the end of data, and what else was said before the connection ended."""
        with wire.Wire(port) as client:
            client.hello()
            client.open_data(b"outer@load.test")
            if cut is None:
                client.send(head + sequence + SMUGGLED)
            else:
                client.send(head + sequence[:cut])
                time.sleep(0.002)
                client.send(sequence[cut:] + SMUGGLED)
            reply = client.reply()
            client.send(b"QUIT\r\n") if not reply.startswith(b"521") else None
            return reply, client.rest()

    def assert_refused(self, answer, sequence):
        reply, rest = answer
        codes = (b"521 5.5.2 ", b"550 5.6.0 ") if b"\0" in sequence else (b"521 5.5.2 ",)
        self.assertTrue(reply.startswith(codes), (sequence, reply))
        if reply.startswith(b"521"):
            self.assertEqual(rest, b"", sequence)

    def attack_all(self, port):
        for sequence in SEQUENCES:
            for head in (b"Subject: outer\r\n\r\nouter", b"", b"Subject: x\r\n\r\n" + b"y" * 65536):
                self.assert_refused(self.attack(port, head, sequence), sequence)
            for cut in range(1, len(sequence)):
                self.assert_refused(self.attack(port, b"outer", sequence, cut), sequence)

    def assert_only_the_good_one(self, port, received):
        wire.send_message(port, GOOD)
        harness.wait_until(received, 10, "the good message")
        time.sleep(1)
        contents = received()
        self.assertEqual(len(contents), 1, contents)
        self.assert_relayed(contents[0], GOOD)

    def test_nothing_is_stored_in_front_of_a_strict_sink(self):
        sink = self.managed(sinks.RecordingSink()).up()
        port = self.daemon(sink.port).start().port
        self.attack_all(port)
        self.assert_only_the_good_one(port, lambda: [m.content for m in list(sink.messages)])
        self.assertEqual(sink.violations, [])

    def test_nothing_is_stored_in_front_of_smtp_sink(self):
        sink_port = harness.free_port()
        sink = self.managed(peers.SmtpSink(sink_port, dump=f"{self.directory}/dump"))
        port = self.daemon(sink_port).start().port
        self.attack_all(port)
        self.assert_only_the_good_one(port, sink.contents)

    def test_nothing_is_stored_in_front_of_aiosmtpd(self):
        sink_port = harness.free_port()
        sink = self.managed(peers.AiosmtpdSink(sink_port))
        port = self.daemon(sink_port).start().port
        self.attack_all(port)
        self.assert_only_the_good_one(port, sink.contents)

    def test_normalized_it_is_one_message_with_clean_line_ends(self):
        sink = self.managed(sinks.RecordingSink()).up()
        backstay = self.daemon(sink.port, {"smtp": {"line_endings": "normalize"}}).start()
        taken = 0
        for sequence in SEQUENCES:
            reply, _ = self.attack(backstay.port, b"Subject: outer\r\n\r\nouter", sequence)
            if b"\0" in sequence:
                self.assertTrue(reply.startswith(b"550 5.6.0"), reply)
            else:
                self.assertRegex(reply, harness.QUEUED)
                taken += 1
        sink.wait_for(taken, 10)
        time.sleep(1)
        self.assertEqual(len(sink.messages), taken)
        self.assertEqual({m.sender for m in sink.messages}, {"outer@load.test"})
        self.assertEqual(sink.violations, [])

    def test_behind_the_size_limit_nothing_is_executed(self):
        sink = self.managed(sinks.RecordingSink()).up()
        backstay = self.daemon(sink.port, {"smtp": {"max_message_size": "64KiB"}}).start()
        for sequence in SEQUENCES:
            reply, _ = self.attack(backstay.port, b"z" * 70000, sequence)
            self.assertRegex(reply, rb"^(552 5\.3\.4|521 5\.5\.2|550 5\.6\.0)")
        self.assert_only_the_good_one(backstay.port, lambda: [m.content for m in
                                                              list(sink.messages)])


class Clients(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.sink = self.managed(sinks.RecordingSink())
        self.backstay = self.daemon(self.sink.port).start()
        self.port = self.backstay.port

    def assert_serves(self, count=1):
        """A good client is served within a second; exactly `count` messages come out."""
        begin = time.monotonic()
        wire.send_message(self.port, GOOD)
        self.assertLess(time.monotonic() - begin, 1)
        self.sink.up()
        self.sink.wait_for(count, 10)
        time.sleep(0.5)
        self.assertEqual(len(self.sink.messages), count)

    def test_text_waiting_behind_data_is_refused(self):
        with wire.Wire(self.port) as client:
            client.hello()
            client.send(b"MAIL FROM:<s@load.test>\r\nRCPT TO:<a@example.com>\r\nDATA\r\n"
                        b"Subject: early\r\n\r\n.\r\n")
            self.assertTrue(client.reply().startswith(b"250"))
            self.assertTrue(client.reply().startswith(b"250"))
            self.assertTrue(client.reply().startswith(b"554 5.5.0"))
            self.assertEqual(client.rest(), b"")
        self.assert_serves()

    def assert_released(self, files, seconds):
        harness.wait_until(lambda: self.backstay.open_files() <= files, seconds,
                           lambda: f"{files} descriptors, {self.backstay.open_files()} are open")

    def test_client_that_talks_on_behind_a_refusal_reads_it_in_full(self):
        with wire.Wire(self.port) as client:
            client.hello()
            client.open_data()
            client.send(b"Subject: bare\nbody\r\n.\r\n")
            time.sleep(0.2)  # the refusal is on its way, the client does not look
            for _ in range(40):  # a server that had closed would reset the connection here
                client.send(b"x" * 62 + b"\r\n" + b"y" * 65536)
                time.sleep(0.02)
            client.socket.shutdown(socket.SHUT_WR)
            reply = b""
            while data := client.socket.recv(65536):  # raises at a reset
                reply += data
            self.assertRegex(reply, rb"\A521 5\.5\.2 [^\r\n]+\r\n\Z")
        self.assert_serves()

    def test_clients_that_stay_after_the_last_word_are_cut(self):
        wire.send_message(self.port, GOOD)
        files = self.backstay.open_files()
        clients = [self.managed(wire.Wire(self.port)) for _ in range(50)]
        for client in clients:
            self.assertTrue(client.command(b"QUIT").startswith(b"221"))
            self.assertEqual(client.rest(1), b"")
        self.assertGreater(self.backstay.open_files(), files + len(clients) // 2)
        self.assert_released(files, 3)

    def test_client_that_floods_behind_the_last_word_is_cut(self):
        wire.send_message(self.port, GOOD)
        files = self.backstay.open_files()
        with wire.Wire(self.port, seconds=1) as client:
            self.assertTrue(client.command(b"QUIT").startswith(b"221"))
            sent = 0
            with self.assertRaises(OSError):  # a reset, or a window that stays shut
                while sent < 64 * MIB:
                    client.send(b"x" * 65536)
                    sent += 65536
            self.assert_released(files, 2)
        print(f"cut after about {sent} bytes")

    def test_client_that_talks_before_the_banner_is_refused(self):
        for _ in range(20):
            os.kill(self.backstay.process.pid, signal.SIGSTOP)  # else a race that either may win
            try:
                harness.wait_until(lambda: harness.is_stopped(self.backstay.process.pid), 5,
                                   "every thread to stand still")
                client = self.managed(wire.Wire(self.port, banner=False))
                client.send(b"EHLO early.test\r\nMAIL FROM:<s@load.test>\r\n")
            finally:
                os.kill(self.backstay.process.pid, signal.SIGCONT)
            self.assertRegex(client.rest(5), rb"^(220 [^\n]*\n)?554 5\.5\.0 [^\n]*\n$")
        self.assert_serves()

    def test_other_protocols_are_sent_away(self):
        for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /x HTTP/1.0\r\n\r\nMAIL FROM:<>\r\n",
                     b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 505 + b"\r\n",
                     b"SSH-2.0-OpenSSH_9.2\r\n", b"Subject: x\r\n"):
            with wire.Wire(self.port) as client:
                client.send(data)
                self.assertRegex(client.rest(3) or b"", rb"^[245]\d\d ", data)
        self.assert_serves()

    def test_random_bytes_do_no_harm(self):
        draw = random.Random(7)
        words = [b"EHLO x\r\n", b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<a@example.com>\r\n",
                 b"DATA\r\n", b"\r\n", b".\r\n", b"RSET\r\n", b"BDAT 10 LAST\r\n", b"\0", b"\xff" * 9]
        for _ in range(300):
            with wire.Wire(self.port) as client:
                data = b"".join(draw.choice(words) if draw.random() < 0.7 else
                                draw.randbytes(draw.randrange(200)) for _ in range(12))
                try:
                    client.send(data)
                    client.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                self.assertIsNotNone(client.rest(5), data)
        wire.send_message(self.port, GOOD)

    def test_client_that_vanishes_after_each_byte(self):
        session = (b"EHLO gone.test\r\nMAIL FROM:<s@load.test>\r\nRCPT TO:<a@example.com>\r\n"
                   b"DATA\r\n", b"Subject: gone\r\n\r\nbody\r\n.\r\n")
        for part in range(2):
            for length in range(len(session[part])):
                with wire.Wire(self.port) as client:
                    if part:
                        client.hello()
                        client.open_data()
                    client.send(session[part][:length])
                    if length % 2:  # a reset instead of an orderly end
                        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                                 b"\1\0\0\0\0\0\0\0")
        self.assert_serves()

    def test_flood_without_newline_is_cut_with_flat_memory(self):
        before = self.backstay.rss()
        with wire.Wire(self.port) as client:
            sent = 0
            try:
                while sent < 64 * MIB:
                    client.send(b"x" * 65536)
                    sent += 65536
            except OSError:
                pass
            print(f"closed after about {sent} bytes")
            self.assertLess(sent, 64 * MIB)
        self.assertLess(self.backstay.rss() - before, 8 * MIB)
        self.assert_serves()

    def test_line_of_ten_mebibytes_is_content(self):
        content = b"Subject: long\r\n\r\n" + b"l" * 10 * MIB + b"\r\n"
        wire.send_message(self.port, content)
        self.sink.up()
        self.sink.wait_for(1, 10)
        self.assert_relayed(self.sink.messages[0].content, content)

    def test_memory_does_not_grow_with_the_length_of_a_line(self):
        backstay = self.daemon(harness.free_port(), {"smtp": {"max_message_size": "300MiB",
                                                              "shards": 1}}).start()
        before = backstay.rss()
        wire.send_message(backstay.port, b"l" * 200 * MIB + b"\r\n")
        growth = backstay.rss("VmHWM") - before
        print(f"{growth / MIB:.0f} MiB more memory for a line of 200 MiB")
        if not harness.is_sanitized(backstay.binary):
            self.assertLess(growth, 100 * MIB)

    def test_clients_that_never_read_are_not_heaped_up(self):
        before = self.backstay.rss()
        clients = []
        for _ in range(100):
            client = self.managed(wire.Wire(self.port))
            client.socket.setblocking(False)
            clients.append(client)
        sent = 0
        for _ in range(20):  # 10,000 commands each, as long as they are taken
            for client in clients:
                try:
                    sent += client.socket.send(b"HELP\r\n" * 500)
                except OSError:
                    pass
        time.sleep(0.5)
        growth = self.backstay.rss() - before
        print(f"{sent} bytes of commands taken, {growth / MIB:.1f} MiB more memory")
        self.assertLess(growth, 100 * 128 * 1024)
        self.assert_serves()

    def test_pipelined_commands_are_answered_in_order(self):
        with wire.Wire(self.port) as client:
            client.hello()
            client.send(b"MAIL FROM:<s@load.test>\r\n" +
                        b"".join(b"RCPT TO:<r%d@example.com>\r\n" % n for n in range(100)) +
                        b"RCPT TO:<r@elsewhere.test>\r\nDATA\r\n")
            replies = [client.reply()[:3] for _ in range(103)]
            self.assertEqual(replies, [b"250"] * 101 + [b"550", b"354"])
            client.send(GOOD + b".\r\nMAIL FROM:<second@load.test>\r\nRSET\r\nQUIT\r\n")
            self.assertRegex(client.reply(), harness.QUEUED)
            self.assertEqual([client.reply()[:3] for _ in range(3)], [b"250", b"250", b"221"])
        self.sink.up()
        self.sink.wait_for(1, 10)
        self.assertEqual(len(self.sink.messages[0].recipients), 100)


class Floods(harness.SystemTest):
    def test_connections_over_the_limit_of_a_client_get_421(self):
        limit = 12
        backstay = self.daemon(harness.free_port(), {"smtp": {
            "max_connections_per_client": limit, "shards": 1}}).start()
        for _ in range(2):  # the second time: what was closed is free again
            clients = [self.managed(wire.Wire(backstay.port)) for _ in range(60)]
            welcome = [c for c in clients if c.banner.startswith(b"220 ")]
            refused = [c for c in clients if c.banner.startswith(b"421 4.7.0 ")]
            self.assertEqual(len(welcome) + len(refused), 60)
            self.assertEqual(len(welcome), limit)
            for client in refused:
                self.assertEqual(client.rest(2), b"")
            for client in clients:
                client.close()
            time.sleep(0.3)
        wire.send_message(backstay.port, GOOD)

    def test_limit_of_a_client_holds_for_all_shards_together(self):
        limit = 12
        backstay = self.daemon(harness.free_port(), {"smtp": {
            "max_connections_per_client": limit, "shards": 4}}).start()
        clients = [self.managed(wire.Wire(backstay.port)) for _ in range(100)]
        self.assertLessEqual(sum(c.banner.startswith(b"220 ") for c in clients), limit)

    def test_connections_over_the_total_get_421(self):
        backstay = self.daemon(harness.free_port(), {"smtp": {
            "max_connections": 20, "shards": 1}}).start()
        clients = [self.managed(wire.Wire(backstay.port)) for _ in range(60)]
        banners = [c.banner[:10] for c in clients]
        self.assertEqual(set(banners), {b"220 mx2.ba", b"421 4.3.2 "})
        self.assertEqual(banners.count(b"220 mx2.ba"), 20)

    # Without descriptors UBSan cannot look at memory and calls every object invalid.
    @unittest.skipUnless(harness.plain_binary("backstayd"), "only a sanitized backstayd is built")
    def test_with_few_descriptors_it_neither_spins_nor_stays_deaf(self):
        backstay = self.daemon(harness.free_port(), bin_path=harness.plain_binary("backstayd"))
        backstay.limits = ["prlimit", "--nofile=100:100"]
        done = backstay.start(wait=False)
        time.sleep(1)
        if done.process.poll() is not None:  # a refusal that names the limit is an answer too
            self.assertIn("file", done.log())
            done.process = None
            self.skipTest("refuses to start: " + done.log().splitlines()[-1])
        backstay.wait_banner()
        clients = []
        for _ in range(300):  # the door refuses whom it has no descriptor for; see listener_test
            clients.append(socket.create_connection(("127.0.0.1", backstay.port), 5))
            self.addCleanup(clients[-1].close)
        time.sleep(0.5)
        before = harness.process_cpu(backstay.process.pid)
        time.sleep(2)
        self.assertLess(harness.process_cpu(backstay.process.pid) - before, 0.4)
        for client in clients:
            client.close()
        harness.wait_until(lambda: backstay.open_files() < 60, 10, "the descriptors to be free")
        wire.send_message(backstay.port, GOOD)

    def test_descriptors_and_memory_come_back_after_a_storm_of_connections(self):
        backstay = self.daemon(harness.free_port()).start()
        wire.send_message(backstay.port, GOOD)
        files, memory = backstay.open_files(), backstay.rss()
        for round in range(2000):
            client = socket.create_connection(("127.0.0.1", backstay.port), 5)
            if round % 3 == 0:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        harness.wait_until(lambda: backstay.open_files() <= files, 5,
                           lambda: f"{files} descriptors, {backstay.open_files()} are open")
        if not harness.is_sanitized(backstay.binary):
            self.assertLess(backstay.rss() - memory, 16 * MIB)
        wire.send_message(backstay.port, GOOD)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# tests/system/content_test.py -- any content goes on to the byte; what goes in circles is refused.
#
# Rows 87, 89, 91, 93, 94 and 112. Real mail is in corpus_test, framing in smuggling_test.
import base64
import functools
import os
import re
import subprocess
import time
import unittest
import zlib

import harness
import loader
import sinks
import wire

MIB = 1 << 20
HEAD = b"Subject: content\r\n\r\n"
SPOOL_MAGIC = (b"BKSTSEG1", b"BKR1", b"BKSTKCP1")
is_sanitized = functools.cache(harness.is_sanitized)


def every_byte():
    """All that may stand in content: each alone in its line, at both ends of one, and together."""
    legal = [bytes([byte]) for byte in range(1, 256) if byte not in b"\r\n"]
    lines = legal + [byte + b" between " + byte for byte in legal] + [b"".join(legal)]
    return HEAD + b"\r\n".join(lines) + b"\r\n"


def long_lines():
    return HEAD + b"".join(b"%d " % size + b"l" * (size - len(b"%d " % size)) + b"\r\n"
                           for size in (78, 79, 998, 999, 1000, 2048, 4096, 16383, 16384, 16385,
                                        65536))


def nested_mime(depth):
    """Multiparts in multiparts, the innermost with what unpacks to 64 MiB; nobody closes them."""
    parts = [b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
             for n in range(depth)]
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(64)) + packer.flush()
    lines = base64.encodebytes(packed).replace(b"\n", b"\r\n")
    return (b"MIME-Version: 1.0\r\n" + b"".join(parts) +
            b"Content-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + lines +
            b"--b0\r\n--b\xff--\r\n--\r\n----\r\n")


def record_of_format_md():
    """The example of a segment, as far as its bytes may come from a stranger: no NUL, no bare CR or
    LF."""
    with open(os.path.join(harness.TOP, "spool/FORMAT.md"), encoding="utf-8") as file:
        rows = re.findall(r"^[0-9a-f]{5}  ((?:[0-9a-f]{2} +){16})", file.read(), re.M)
    text = bytes.fromhex("".join(rows))
    assert text.startswith(SPOOL_MAGIC[0]) and SPOOL_MAGIC[1] in text, text[:64]
    return re.sub(rb"\0|\r(?!\n)|(?<!\r)\n", b"\1", text)


def spool_lookalike(size):
    """Magic numbers at every distance from the borders of blocks, and whole records."""
    record = record_of_format_md()
    made, count = bytearray(HEAD), 0
    while len(made) < size:
        magic = SPOOL_MAGIC[count % 3]
        made += (magic * (1 + count % 7) + record + b"\r\n" if count % 5 else
                 magic * 400 + b"x" * (count % 64) + b"\r\n")
        count += 1
    return bytes(made)


class Content(harness.SystemTest):
    settings = {}

    def setUp(self):
        super().setUp()
        self.sink = self.managed(sinks.RecordingSink())
        self.backstay = self.daemon(self.sink.port, self.settings).start()
        self.port = self.backstay.port

    def cpu(self):
        return harness.process_cpu(self.backstay.process.pid)

    def send(self, content):
        return wire.send_message(self.port, loader.stuffed(content))

    def assert_arrives(self, contents):
        """In whatever order, and nothing else."""
        ids = {self.send(content): content for content in contents}
        self.sink.up()
        self.assert_all_there(ids)

    def assert_all_there(self, ids):
        self.sink.wait_for(len(ids), 30)
        time.sleep(0.5)
        self.assertEqual(len(self.sink.messages), len(ids))
        waiting = dict(ids)
        for message in self.sink.messages:
            queue_id = re.search(rb"\bid (" + harness.QUEUE_ID.encode() + rb")", message.content)[1]
            self.assert_relayed(message.content, waiting.pop(queue_id.decode()), queue_id.decode())
        self.assertEqual(self.sink.violations, [])


class ToTheByte(Content):
    def test_every_byte_that_content_may_have(self):
        self.assert_arrives([every_byte(), every_byte()[len(HEAD):]])

    def test_lines_longer_than_they_should_be(self):
        self.assert_arrives([long_lines()])

    def test_nested_mime_is_text(self):
        content = nested_mime(10_000)
        plain = b"Subject: plain\r\n\r\n" + b"a line of text like any other one here\r\n" * (
            len(content) // 40)
        ids, cpu = {}, [self.cpu()]
        for text in (plain, content):
            ids[self.send(text)] = text
            cpu.append(self.cpu())
        as_plain, as_mime = cpu[1] - cpu[0], cpu[2] - cpu[1]
        print(f"{as_mime:.2f} s for {len(content)} bytes, {as_plain:.2f} s for plain text")
        self.assertLess(as_mime, as_plain + 0.5)
        self.sink.up()
        self.assert_all_there(ids)


class LikeTheSpool(Content):
    """Row 94: nothing that a stranger writes is taken for what the spool writes."""

    settings = {"smtp": {"shards": 1}}

    def send_all(self):
        # In one record, and in parts.
        return {self.send(content): content for content in (
            spool_lookalike(20_000), HEAD + b"between\r\n", spool_lookalike(900_000),
            HEAD + b"behind\r\n")}

    def kill_and_verify(self):
        time.sleep(0.2)  # nothing is being written: what is torn would be a message's fault
        self.backstay.kill()
        verified = subprocess.run(
            [harness.binary("backstay"), "spool", "verify", self.backstay.spool],
            capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)

    def test_it_survives_kills_and_arrives(self):
        ids = self.send_all()
        for run in (1, 2):
            self.kill_and_verify()
            self.backstay.start()
            known = f"queue complete: messages={len(ids)} "
            harness.wait_until(lambda: self.backstay.log().count(known) == run, 10,
                               self.backstay.log)
        self.assertNotRegex(self.backstay.log(), "damage|quarantine|torn")
        self.sink.up()
        self.assert_all_there(ids)


class Headers(Content):
    CPU_SECONDS_MAX = 2  # a sanitizer takes its own time

    def assert_cheap(self, seconds):
        print(f"{seconds:.2f} s of CPU")
        if not is_sanitized(self.backstay.binary):
            self.assertLess(seconds, self.CPU_SECONDS_MAX)

    def test_a_million_received_fields_are_refused(self):
        content = b"Received: from a by b; x\r\n" * 1_000_000
        before = self.cpu()
        with wire.Wire(self.port) as client:
            client.hello()
            client.open_data()
            reply = client.command(content + b"\r\n.")
            self.assertEqual(reply, b"554 5.4.6 Mail loop: too many Received fields\r\n")
            self.assertTrue(client.command(b"NOOP").startswith(b"250"))
        self.assert_cheap(self.cpu() - before)

    def test_a_header_section_of_many_mebibytes_is_content(self):
        fields = b"".join(b"X-Field-%06d: %s\r\n" % (n, b"v" * 60) for n in range(230_000))
        content = fields + b"X-Folded: a\r\n" + b"\tb\r\n" * 100_000 + b"\r\nbody\r\n"
        highest, before = self.backstay.rss("VmHWM"), self.cpu()
        queue_id = self.send(content)
        self.assert_cheap(self.cpu() - before)
        growth = self.backstay.rss("VmHWM") - highest
        print(f"{growth / MIB:.0f} MiB more memory for a header section of "
              f"{len(content) / MIB:.0f} MiB")
        if not is_sanitized(self.backstay.binary):
            self.assertLess(growth, 60 * MIB)
        self.sink.up()
        self.assert_all_there({queue_id: content})


class Loops(Content):
    def test_what_the_primary_sends_back_a_second_time_is_a_loop(self):
        self.sink.up()
        content = HEAD + b".text\r\n"
        for visit in (1, 2):  # it may hand a mailbox on to us, in good faith
            self.send(content)
            self.sink.wait_for(visit, 10)
            self.assert_relayed(self.sink.messages[-1].content, content)
            content = self.sink.messages[-1].content
        self.assertEqual(content.count(b"by " + harness.HOSTNAME.encode()), 2)
        with wire.Wire(self.port) as client:
            client.hello()
            client.open_data()
            self.assertEqual(client.command(loader.stuffed(content) + b"."),
                             b"554 5.4.6 Mail loop: too many Received fields\r\n")
        time.sleep(0.5)
        self.assertEqual(len(self.sink.messages), 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# tests/system/memory_test.py -- 200 connections send large messages at once: memory stays bounded.
#
# BACKSTAY_MEMORY_MIB (default 4) is the size of each message; 50 is the whole claim and needs
# 10 GiB of disk. The bound is the same: 256 MiB resident.
import asyncio
import hashlib
import os
import shutil
import time
import unittest

import harness
import sinks

MIB = 1 << 20
CONNECTIONS = int(os.environ.get("BACKSTAY_MEMORY_CONNECTIONS", "200"))
MESSAGE_MIB = int(os.environ.get("BACKSTAY_MEMORY_MIB", "4"))
RSS_MAX = 256 * MIB
RSS_LEFT_MAX = 48 * MIB
LINE = b"0123456789abcdef" * 4 + b"....memory\r\n"
CHUNK = LINE * (64 * 1024 // len(LINE))


def content_of(number):
    return b"Subject: %d\r\n\r\n" % number + CHUNK * (MESSAGE_MIB * MIB // len(CHUNK))


class Sender:
    def __init__(self, port, number, everyone_open):
        self.port, self.number, self.everyone_open = port, number, everyone_open

    async def run(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        await reader.readline()
        writer.write(b"EHLO memory.test\r\n")
        while (await reader.readline())[3:4] == b"-":
            pass
        writer.write(b"MAIL FROM:<s%d@load.test>\r\nRCPT TO:<n%d@example.com>\r\nDATA\r\n" %
                     (self.number, self.number))
        replies = [await reader.readline() for _ in range(3)]
        assert replies[2].startswith(b"354"), replies
        writer.write(b"Subject: %d\r\n\r\n" % self.number)
        for chunk in range(MESSAGE_MIB * MIB // len(CHUNK)):
            writer.write(CHUNK)
            await writer.drain()
            if chunk == 0:  # all are in the middle of their message before any goes on
                await self.everyone_open.arrive()
        writer.write(b".\r\n")
        reply = await reader.readline()
        writer.close()
        return reply


class Gate:
    def __init__(self, count):
        self.count, self.opened = count, asyncio.Event()

    async def arrive(self):
        self.count -= 1
        if self.count == 0:
            self.opened.set()
        await self.opened.wait()


async def send_all(port):
    gate = Gate(CONNECTIONS)
    return await asyncio.wait_for(asyncio.gather(
        *(Sender(port, number, gate).run() for number in range(CONNECTIONS))), 1200)


@unittest.skipUnless(harness.plain_binary("backstayd"), "only a sanitized backstayd is built")
class Memory(harness.SystemTest):
    def test_large_messages_at_once(self):
        needed = (CONNECTIONS * MESSAGE_MIB * 2 + 512) * MIB
        if shutil.disk_usage(self.directory).free < needed:
            self.skipTest(f"needs {needed >> 20} MiB of disk")
        sink = self.managed(sinks.RecordingSink(keep=hash_of_rest))
        backstay = self.daemon(sink.port, {"spool": {"segment_size": "256MiB"}},
                               harness.plain_binary("backstayd"))
        backstay.start()
        at_rest = backstay.rss()
        begin = time.monotonic()
        replies = asyncio.run(send_all(backstay.port))
        taken = time.monotonic() - begin
        highest = backstay.rss("VmHWM")
        for reply in replies:
            self.assertRegex(reply, harness.QUEUED)
        total = CONNECTIONS * MESSAGE_MIB
        print(f"{CONNECTIONS} x {MESSAGE_MIB} MiB: {total / taken:.0f} MiB/s, at most "
              f"{highest / MIB:.0f} MiB resident")
        self.assertLess(highest, RSS_MAX)
        self.check_delivery(backstay, sink)
        self.check_fall_back(backstay, at_rest)

    def check_delivery(self, backstay, sink):
        sink.up()
        sink.wait_for(CONNECTIONS, 60 + CONNECTIONS * MESSAGE_MIB // 4)
        highest = backstay.rss("VmHWM")
        print(f"delivered, at most {highest / MIB:.0f} MiB resident")
        self.assertLess(highest, RSS_MAX)
        self.assertEqual(
            sorted((m.sender, m.content) for m in sink.messages),
            sorted((f"s{n}@load.test", hash_of_rest(content_of(n))) for n in range(CONNECTIONS)))


    def check_fall_back(self, backstay, at_rest):
        """What the load needed goes back when the load is gone."""
        time.sleep(1)
        left = backstay.rss()
        print(f"{at_rest / MIB:.0f} MiB resident before, {left / MIB:.0f} MiB afterwards")
        self.assertLess(left, at_rest + RSS_LEFT_MAX)


def hash_of_rest(content):
    """Everything behind the Received field."""
    return hashlib.sha256(content[content.index(b"Subject: "):]).hexdigest()


if __name__ == "__main__":
    unittest.main(verbosity=2)

# tests/system/loader.py -- many clients at once that write down which messages were acknowledged.
import asyncio
import itertools
import re
import threading
import time
from dataclasses import dataclass

import harness


@dataclass
class Outgoing:
    sender: str
    recipients: list
    content: bytes  # CRLF lines, ends with CRLF (or empty)


def stuffed(content):
    return content.replace(b"\r\n.", b"\r\n..") if not content.startswith(b".") else \
        b"." + content.replace(b"\r\n.", b"\r\n..")


class Refused(Exception):
    pass


class Load:
    """`make(number)` gives the message of each number. With a limit every number is sent once;
    without one it goes on until stop(). Connections that break are opened again."""

    def __init__(self, port, connections, make, limit=None, per_connection=None, pause=0.0):
        self.port = port
        self.connections = connections
        self.make = make
        self.per_connection = per_connection
        self.pause = pause              # between the messages of one connection
        self.numbers = iter(range(limit)) if limit is not None else itertools.count()
        self.acknowledged = {}          # number -> queue id
        self.acknowledged_at = {}
        self.refused = {}               # number -> reply
        self.goodbyes = []              # replies 421
        self.open_at_break = set()      # numbers without an answer
        self.attempted = 0
        self.errors = []
        self.stopping = False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self, seconds=30):
        self.stopping = True
        return self.join(seconds)

    def join(self, seconds=60):
        self.thread.join(seconds)
        if self.thread.is_alive():
            raise AssertionError(f"the load did not end within {seconds} s: {self.summary()}")
        return self

    def summary(self):
        return (f"{self.attempted} attempted, {len(self.acknowledged)} acknowledged, "
                f"{len(self.refused)} refused, {len(self.open_at_break)} unanswered")

    def run(self):
        async def everything():
            await asyncio.gather(*(self.client() for _ in range(self.connections)))
        try:
            asyncio.run(everything())
        except Exception as error:  # a defect of the loader itself: the test reports it
            self.errors.append(error)

    async def client(self):
        while not self.stopping:
            try:
                if not await self.session():
                    return
            except (OSError, asyncio.IncompleteReadError, Refused):
                await asyncio.sleep(0.02)

    async def session(self):
        """False when nothing is left to send."""
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection("127.0.0.1", self.port), 10)
        try:
            await self.expect(reader, b"220")
            writer.write(b"EHLO load.test\r\n")
            await self.expect(reader, b"250")
            sent = 0
            while not self.stopping:
                if self.per_connection and sent >= self.per_connection:
                    break
                number = next(self.numbers, None)
                if number is None:
                    return False
                await self.send(reader, writer, number)
                sent += 1
                if self.pause:
                    await asyncio.sleep(self.pause)
            writer.write(b"QUIT\r\n")
            return True
        finally:
            writer.close()

    async def send(self, reader, writer, number):
        message = self.make(number)
        self.attempted += 1
        self.open_at_break.add(number)
        recipients = "".join(f"RCPT TO:<{path}>\r\n" for path in message.recipients)
        writer.write(f"MAIL FROM:<{message.sender}>\r\n{recipients}DATA\r\n".encode())
        replies = [await self.reply(reader) for _ in range(len(message.recipients) + 2)]
        if not replies[-1].startswith(b"354"):
            self.answered(number, next(r for r in replies if r[:1] in b"45"))
            writer.write(b"RSET\r\n")
            await self.reply(reader)
            return
        writer.write(stuffed(message.content) + b".\r\n")
        self.answered(number, await self.reply(reader))

    def answered(self, number, reply):
        self.open_at_break.discard(number)
        queued = harness.QUEUED.match(reply)
        if queued:
            self.acknowledged[number] = queued[1].decode()
            self.acknowledged_at[number] = time.monotonic()
        else:
            self.refused[number] = reply

    async def expect(self, reader, code):
        reply = await self.reply(reader)
        if not reply.startswith(code):
            raise Refused(reply)

    async def reply(self, reader):
        """One reply, all lines of it."""
        lines = b""
        while True:
            line = await asyncio.wait_for(reader.readuntil(b"\n"), 60)
            lines += line
            if not re.match(rb"\d{3}-", line):
                break
        if lines.startswith(b"421"):
            self.goodbyes.append(lines)
            raise Refused(lines)
        return lines

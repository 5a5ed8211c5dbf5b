# tests/system/sinks.py -- a primary that remembers every envelope and byte, and refuses by script.
import asyncio
import re
import threading
import time
from dataclasses import dataclass, field

import harness

STRAY = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")


@dataclass
class Message:
    sender: str
    recipients: list
    content: bytes  # without dot-stuffing
    at: float       # monotonic time of our reply
    reply: bytes = b""


@dataclass
class Session:
    """What a script may look at."""
    sender: str = ""
    recipients: list = field(default_factory=list)
    messages: int = 0


class SinkProtocol(asyncio.Protocol):
    def __init__(self, sink):
        self.sink = sink
        self.session = Session()
        self.buffer = bytearray()
        self.in_data = False
        self.answering = False  # a late reply comes before those to what is behind it
        self.searched = 0

    def connection_made(self, transport):
        self.transport = transport
        self.sink.connections.add(self)
        self.sink.connections_seen += 1
        self.sink.connections_most = max(self.sink.connections_most, len(self.sink.connections))
        self.reply(self.sink.ask("CONNECT", "", self.session) or b"220 sink.test ESMTP")

    def connection_lost(self, _error):
        self.sink.connections.discard(self)

    def reply(self, line):
        self.transport.write(line + b"\r\n")
        if line[:3] in (b"421", b"521", b"221"):
            self.transport.close()

    def data_received(self, data):
        self.buffer += data
        self.proceed()

    def proceed(self):
        while not self.transport.is_closing() and not self.answering:
            if not (self.take_content() if self.in_data else self.take_command()):
                return

    def take_content(self):
        end = self.buffer.find(b"\r\n.\r\n", max(0, self.searched - 4))
        if end < 0:
            self.searched = len(self.buffer)
            return False
        stuffed = bytes(self.buffer[:end + 2])  # begins with the line end of DATA
        del self.buffer[:end + 5]
        self.in_data = False
        self.finish(stuffed.replace(b"\r\n.", b"\r\n")[2:])
        return True

    def finish(self, content):
        session, sink = self.session, self.sink
        if STRAY.search(content):
            sink.violations.append(f"stray CR, LF or NUL in the message of {session.sender}")
        reply = sink.ask(".", content, session) or b"250 2.0.0 taken"
        message = Message(session.sender, session.recipients, sink.keep(content),
                          time.monotonic(), reply)
        (sink.messages if reply.startswith(b"2") else sink.refused).append(message)
        self.session = Session(messages=session.messages + 1)
        if sink.delay:
            self.answering = True
            sink.loop.call_later(sink.delay, self.answer_late, reply)
        else:
            self.answer(reply)

    def answer(self, reply):
        self.reply(reply)
        if self.sink.closing:
            self.transport.close()

    def answer_late(self, reply):
        self.answering = False
        self.answer(reply)
        self.proceed()

    def take_command(self):
        end = self.buffer.find(b"\n")
        if end < 0:
            return False
        line = bytes(self.buffer[:end + 1])
        del self.buffer[:end + 1]
        if not line.endswith(b"\r\n") or STRAY.search(line):
            self.sink.violations.append(f"stray CR, LF or NUL in the command {line!r}")
        verb, _, argument = line.decode("utf-8", "replace").strip().partition(" ")
        verb = verb.upper()
        self.sink.commands[verb] = self.sink.commands.get(verb, 0) + 1
        self.command(verb, argument)
        return True

    def command(self, verb, argument):
        session = self.session
        scripted = self.sink.ask(verb, argument, session)
        if scripted:
            self.reply(scripted)
        elif verb == "EHLO":
            self.reply(b"\r\n".join([b"250-sink.test", *(b"250-" + word for word in
                                                          self.sink.extensions), b"250 HELP"]))
        elif verb == "MAIL":
            if self.sink.closing:
                self.reply(b"421 4.3.2 closing")
                return
            session.sender, session.recipients = address(argument), []
            self.reply(b"250 2.1.0 ok")
        elif verb == "RCPT":
            session.recipients.append(address(argument))
            self.reply(b"250 2.1.5 ok")
        elif verb == "DATA":
            if session.recipients:
                self.buffer[:0] = b"\r\n"  # the line end before the content: "." may come first
                self.in_data, self.searched = True, 0
                self.reply(b"354 go on")
            else:
                self.reply(b"554 5.5.1 no valid recipients")
        elif verb == "RSET":
            self.session = Session(messages=session.messages)
            self.reply(b"250 2.0.0 ok")
        elif verb in ("HELO", "NOOP"):
            self.reply(b"250 2.0.0 ok")
        elif verb == "QUIT":
            self.reply(b"221 2.0.0 bye")
        else:
            self.reply(b"502 5.5.1 unknown")


def address(argument):
    return re.search(r"<([^>]*)>", argument)[1]


class RecordingSink:
    """Listens between up() and down(); a thread of its own. `script(verb, argument, session)` may
    return a reply; the verbs CONNECT and "." stand for the banner and the end of data.
    `keep(content)` is remembered of a message instead of all its bytes."""

    def __init__(self, port=None, script=None, keep=None,
                 extensions=(b"PIPELINING", b"8BITMIME", b"SIZE 0", b"ENHANCEDSTATUSCODES"),
                 host="127.0.0.1"):
        self.host = host
        self.port = port or harness.free_port()
        self.script = script
        self.keep = keep or (lambda content: content)
        self.extensions = extensions
        self.messages = []    # taken
        self.refused = []     # whole messages that the script refused
        self.violations = []  # what a server must never be sent
        self.commands = {}
        self.connections = set()
        self.connections_seen = 0
        self.connections_most = 0  # at the same time
        self.closing = False
        self.delay = 0  # seconds between the content and its reply
        self.server = None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def ask(self, verb, argument, session):
        return self.script(verb, argument, session) if self.script else None

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def up(self):
        async def listen():
            self.closing = False
            self.server = await self.loop.create_server(lambda: SinkProtocol(self), self.host,
                                                        self.port, backlog=1024)
        self.call(listen())
        return self

    def down(self, abrupt=False):
        """Transactions in progress are finished and answered first, unless abrupt."""
        async def unlisten():
            self.closing = True
            if self.server:
                self.server.close()
                self.server = None
            for connection in list(self.connections):
                if abrupt:
                    connection.transport.abort()
                elif not connection.in_data and not connection.session.sender:
                    connection.transport.close()
        self.call(unlisten())

    def close(self):
        if self.thread.is_alive():
            self.down(abrupt=True)
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(10)
            self.loop.close()

    def wait_for(self, count, seconds):
        harness.wait_until(lambda: len(self.messages) >= count, seconds,
                           lambda: f"{count} messages, {len(self.messages)} came")

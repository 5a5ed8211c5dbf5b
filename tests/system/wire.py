# tests/system/wire.py -- a client that sends any bytes and waits only as long as it is told.
import socket
import time

import harness


class Wire:
    def __init__(self, port, banner=True, seconds=10, source="127.0.0.1"):
        self.socket = socket.create_connection(("127.0.0.1", port), seconds, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seconds = seconds
        self.buffer = b""
        self.banner = self.reply() if banner else b""

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """False at the end of the connection, however it ended."""
        try:
            data = self.socket.recv(65536)
        except (ConnectionError, BrokenPipeError):
            data = b""
        self.buffer += data
        return bool(data)

    def line(self):
        while b"\n" not in self.buffer:
            if not self.receive():
                line, self.buffer = self.buffer, b""
                return line
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    def reply(self):
        """One reply, all lines of it; b"" if the connection ended."""
        lines = b""
        while True:
            line = self.line()
            lines += line
            if line[3:4] != b"-":
                return lines

    def command(self, data):
        self.send(data + b"\r\n")
        return self.reply()

    def hello(self):
        reply = self.command(b"EHLO client.test")
        assert reply.startswith(b"250"), reply
        return reply

    def open_data(self, sender=b"s@load.test", recipient=b"a@example.com"):
        self.send(b"MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n" % (sender, recipient))
        replies = [self.reply() for _ in range(3)]
        assert replies[2].startswith(b"354"), replies
        return replies

    def rest(self, seconds=10):
        """Everything until the server closes; None if it does not."""
        end = time.monotonic() + seconds
        self.socket.settimeout(seconds)
        try:
            while self.receive():
                if time.monotonic() > end:
                    return None
        except TimeoutError:
            return None
        data, self.buffer = self.buffer, b""
        return data


def send_message(port, content, sender=b"s@load.test", recipient=b"a@example.com"):
    """The queue id of a message sent by a well-behaved client."""
    with Wire(port) as client:
        client.hello()
        client.open_data(sender, recipient)
        reply = client.command(content + b".")
        queued = harness.QUEUED.match(reply)
        assert queued, reply
        client.command(b"QUIT")
        return queued[1].decode()

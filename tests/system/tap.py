# tests/system/tap.py -- stands between a client and a server, and sees in what pieces they talk.
import contextlib
import re
import socket
import threading

import harness

# RFC 2920: the next transaction's commands in one piece with the end of the content before them.
CHAINED = re.compile(rb"\r\n\.\r\n(?:XFORWARD [^\r]*\r\n)?MAIL FROM:")


class Tap:
    """Listens from up() on; each connection is handed on to `port`."""

    def __init__(self, port):
        self.behind = port
        self.port = harness.free_port()
        self.listener = None
        self.chained = 0      # pieces in which a message ends and the next one begins
        self.connections = 0
        self.heard = b""      # what the client said
        self.lock = threading.Lock()

    def up(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.behind), 10)
                server.settimeout(None)
                self.connections += 1
                threading.Thread(target=self.join, args=(client, server), daemon=True).start()

    def join(self, client, server):
        with client, server:
            back = threading.Thread(target=self.hand_on, args=(server, client, False), daemon=True)
            back.start()
            self.hand_on(client, server, True)
            back.join()

    def hand_on(self, source, sink, is_client):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 20):
                if is_client:
                    with self.lock:
                        self.chained += len(CHAINED.findall(data))
                        self.heard += data
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def close(self):
        if self.listener:
            self.listener.close()

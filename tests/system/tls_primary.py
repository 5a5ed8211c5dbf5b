# tests/system/tls_primary.py -- a primary with OpenSSL whose TLS is good, odd or broken on demand.
import os
import re
import shutil
import socket
import ssl
import threading

import harness
import tls_peers


class TlsPrimary:
    """One thread a connection. What it is may be changed at any time, for the next connection."""

    def __init__(self, certificate=None):
        self.certificate = certificate  # None: STARTTLS is not offered
        self.client_authority = None    # a Certificate: clients are to show one that it signed
        self.breaks = False             # what it says to a handshake is none
        self.behind_220 = b""           # in clear text, in one piece with the 220
        self.commands = []              # (line, whether it came by TLS)
        self.messages = []              # (content, TLS version or None)
        self.shown = []                 # the subject of each client certificate, or None
        self.faults = []                # what OpenSSL says of handshakes that failed
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads = []
        self.ending = False
        self.run(self.accept)

    def run(self, target, *arguments):
        self.threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self.threads[-1].start()

    def accept(self):
        while not self.ending:
            connection, _ = self.listener.accept()
            connection.settimeout(20)
            self.run(self.serve, connection)

    def serve(self, connection):
        try:
            connection = self.converse(connection)
        except OSError as error:  # ssl.SSLError is one
            if isinstance(error, ssl.SSLError):
                self.faults.append(str(error))
        finally:
            connection.close()

    def converse(self, connection):
        secure = None
        reader = connection.makefile("rb")
        connection.sendall(b"220 tls.test ESMTP\r\n")
        while line := reader.readline():
            self.commands.append((line.strip().decode(), secure is not None))
            verb = line.split()[0].upper()
            if verb == b"STARTTLS":
                connection.sendall(b"220 2.0.0 ready\r\n" + self.behind_220)
                connection = self.secured(connection, reader)
                secure, reader = connection.version(), connection.makefile("rb")
            elif verb == b"DATA":
                connection.sendall(b"354 go on\r\n")
                content = b""
                while (line := reader.readline()) not in (b".\r\n", b""):
                    content += line
                self.messages.append((content, secure))
                connection.sendall(b"250 2.0.0 taken\r\n")
            elif verb == b"QUIT":
                connection.sendall(b"221 2.0.0 bye\r\n")
                break
            else:
                offer = verb == b"EHLO" and self.certificate and not secure
                connection.sendall(b"250-tls.test\r\n250 STARTTLS\r\n" if offer else b"250 ok\r\n")
        return connection

    def secured(self, connection, reader):
        if self.breaks:
            connection.sendall(b"500 5.5.1 what?\r\n")
            raise OSError("as it was told to")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate.path, self.certificate.key)
        if self.client_authority:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.client_authority.path)
        reader.detach()
        made = context.wrap_socket(connection, server_side=True)
        peer = made.getpeercert() if self.client_authority else None
        self.shown.append(dict(pair for (pair,) in peer["subject"])["commonName"] if peer else None)
        return made

    def in_clear(self):
        """Messages that came without TLS, and commands of a transaction, which name addresses."""
        return [content for content, version in self.messages if version is None] + [
            line for line, secure in self.commands
            if not secure and re.match("MAIL|RCPT|DATA", line, re.I)]

    def hellos(self):
        return [line for line, _ in self.commands if line.startswith("EHLO")]

    def wait_for(self, count, seconds=20):
        harness.wait_until(lambda: len(self.messages) >= count, seconds,
                           lambda: f"{count} messages, {len(self.messages)} came; {self.commands}")

    def close(self):
        self.ending = True
        socket.create_connection(("127.0.0.1", self.port), 5).close()  # wakes accept()
        self.listener.close()


def trusting(daemon, *certificates):
    """The daemon's trust store is these certificates alone; a directory, as Debian's is."""
    path = f"{daemon.directory}/trusted"
    os.mkdir(path)
    for each in certificates:
        shutil.copy(each.path, path)
    assert tls_peers.run_openssl("rehash", path).returncode == 0
    daemon.limits = ["env", f"SSL_CERT_DIR={path}"]
    return daemon


def certificate(directory, name, host="IP:127.0.0.1", **options):
    return tls_peers.Certificate(directory, name, [host], **options)

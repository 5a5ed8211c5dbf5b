# tests/system/tls_peers.py -- certificates by the openssl command, and clients that speak TLS.
#
# OpenSSL is another process, or this Python's: the daemon itself has BoringSSL only.
import contextlib
import os
import smtplib
import socket
import ssl
import subprocess

import harness
import wire


def run_openssl(*arguments, **options):
    return subprocess.run(["openssl", *arguments], capture_output=True, timeout=30, check=False,
                          **options)


class Certificate:
    """A key and a certificate that signs itself, as NAME.pem and NAME-key.pem. `hosts` are names, or
    addresses such as IP:127.0.0.1."""

    KEYS = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}

    def __init__(self, directory, name, hosts=(harness.HOSTNAME,), kind="ecdsa", expired=False):
        self.path = os.path.join(directory, name + ".pem")
        self.key = os.path.join(directory, name + "-key.pem")
        names = "subjectAltName=" + ",".join(host if ":" in host else f"DNS:{host}"
                                             for host in hosts)
        made = run_openssl("req", "-x509", "-newkey", *self.KEYS[kind], "-nodes", "-keyout",
                           self.key, "-out", self.path, "-subj", f"/CN={name}", "-addext", names)
        assert made.returncode == 0, made.stderr.decode()
        if expired:  # only x509 takes a number of days that is over
            made = run_openssl("x509", "-in", self.path, "-signkey", self.key, "-days", "-1",
                               "-out", self.path)
            assert made.returncode == 0, made.stderr.decode()

    def settings(self, *others):
        """The [tls] section with this one alone, or with others beside it."""
        if not others:
            return {"certificate": self.path, "private_key": self.key}
        every = [self, *others]
        return {"certificate": [c.path for c in every], "private_key": [c.key for c in every]}


def context(certificate=None, version=None, ciphers=None):
    """Verifies against `certificate`, or nothing."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = certificate is not None
    made.verify_mode = ssl.CERT_REQUIRED if certificate else ssl.CERT_NONE
    if certificate:
        made.load_verify_locations(certificate.path)
    if version:
        made.minimum_version = made.maximum_version = version
    if ciphers:
        made.set_ciphers(ciphers)
    return made


class TlsWire(wire.Wire):
    """EHLO, STARTTLS, handshake, and then a Wire whose bytes are encrypted."""

    def __init__(self, port, settings=None, name=harness.HOSTNAME, session=None, seconds=10):
        super().__init__(port, seconds=seconds)
        self.plain_hello = self.hello()
        reply = self.command(b"STARTTLS")
        assert reply.startswith(b"220 2.0.0"), reply
        assert self.buffer == b"", self.buffer
        self.socket = (settings or context()).wrap_socket(
            self.socket, server_hostname=name, session=session)

    def end_tls(self):
        """close_notify; what was not read is not waited for."""
        with contextlib.suppress(OSError, ValueError):
            self.socket.settimeout(1)
            self.socket.unwrap()


class Client:
    """`openssl s_client -starttls smtp`, which is told what to type."""

    def __init__(self, port, *arguments):
        self.port = port
        self.arguments = arguments

    def type(self, text=b"QUIT\r\n"):
        """What it printed, with what the server said, and its exit status."""
        made = run_openssl("s_client", "-connect", f"127.0.0.1:{self.port}", "-starttls", "smtp",
                           "-crlf", *self.arguments, input=text)
        return (made.stdout + made.stderr).decode(errors="replace"), made.returncode


def smtplib_message(port, content, settings, sender="s@tls.test", recipient="a@example.com"):
    with smtplib.SMTP("127.0.0.1", port, "client.test", timeout=10) as client:
        # the name that the certificate is compared with, instead of the address
        client._host = harness.HOSTNAME  # pylint: disable=protected-access
        client.starttls(context=settings)
        client.sendmail(sender, [recipient], content)


def half_closed(client):
    """No more bytes from us, in the middle of whatever it was: a cut, not close_notify."""
    socket.socket.shutdown(client.socket, socket.SHUT_WR)

# tests/system/tls_records.py -- TLS records as no library makes them: empty, or too large.
#
# In the clear, and sealed with the keys of a session that OpenSSL has agreed on: TLS 1.2 with
# ChaCha20-Poly1305 (RFC 7905), which takes no more than this page.
import hashlib
import hmac
import os
import ssl
import struct

import harness
import tls_peers
import wire

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
TLS10, TLS12 = 0x0301, 0x0303
# Levels and descriptions of alerts, RFC 8446 s6.
USER_CANCELED = b"\1\x5a"
UNEXPECTED_MESSAGE, RECORD_OVERFLOW = b"\2\x0a", b"\2\x16"


def record(kind, body=b"", version=TLS10, length=None):
    return struct.pack(">BHH", kind, version, len(body) if length is None else length) + body


def client_hello():
    """One record, with the first words of a client."""
    made = Handshake(tls_peers.context())
    made.step()
    return made.outgoing.read()


class Handshake:
    """OpenSSL between two buffers."""

    def __init__(self, settings):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = settings.wrap_bio(self.incoming, self.outgoing, server_hostname=harness.HOSTNAME)
        self.heard = b""

    def step(self):
        """True when it is done."""
        try:
            self.tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False

    def hear(self, data):
        self.heard += data
        self.incoming.write(data)


class Starter(wire.Wire):
    """Behind the 220 to STARTTLS."""

    def __init__(self, port):
        super().__init__(port)
        self.hello()
        reply = self.command(b"STARTTLS")
        assert reply.startswith(b"220"), reply


class Sealer(Starter):
    """Behind the handshake: seals whatever it is told to."""

    def __init__(self, port, directory):
        super().__init__(port)
        settings = tls_peers.context(version=ssl.TLSVersion.TLSv1_2, ciphers="CHACHA20")
        settings.keylog_filename = os.path.join(directory, f"keys-{id(self)}")
        made = Handshake(settings)
        while not made.step():
            self.send(made.outgoing.read())
            assert self.receive()
            made.hear(self.buffer)
            self.buffer = b""
        with open(settings.keylog_filename, encoding="ascii") as file:
            _, client, master = file.read().split()[-3:]
        server = made.heard[11:43]  # behind the heads of a record and of a ServerHello
        block = prf(bytes.fromhex(master), b"key expansion", server + bytes.fromhex(client), 88)
        self.key, self.iv = block[:32], block[64:76]
        self.sequence = 1  # Finished was the first

    def seal(self, kind, body=b""):
        counter = struct.pack(">Q", self.sequence)
        self.sequence += 1
        nonce = bytes(a ^ b for a, b in zip(self.iv, b"\0\0\0\0" + counter))
        more = counter + struct.pack(">BHH", kind, TLS12, len(body))
        return record(kind, seal(self.key, nonce, body, more), TLS12)


def prf(secret, label, seed, count):
    """RFC 5246 s5, with SHA-256."""
    def digest(data):
        return hmac.new(secret, data, hashlib.sha256).digest()
    made, step = b"", label + seed
    while len(made) < count:
        step = digest(step)
        made += digest(step + label + seed)
    return made[:count]


# ---- RFC 8439 ----

def quarter(s, a, b, c, d):
    for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = s[x] + s[y] & 0xffffffff
        s[z] ^= s[x]
        s[z] = (s[z] << turn | s[z] >> 32 - turn) & 0xffffffff


def chacha20(key, nonce, number):
    start = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, *struct.unpack("<8L", key), number,
             *struct.unpack("<3L", nonce)]
    s = list(start)
    for _ in range(10):
        for i in range(4):
            quarter(s, i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<16L", *((a + b) & 0xffffffff for a, b in zip(s, start)))


def poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff
    total = 0
    for at in range(0, len(data), 16):
        total = (total + int.from_bytes(data[at:at + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
    return (total + int.from_bytes(key[16:], "little") & (1 << 128) - 1).to_bytes(16, "little")


def seal(key, nonce, body, more):
    stream = b"".join(chacha20(key, nonce, 1 + n) for n in range((len(body) + 63) // 64))
    sealed = bytes(a ^ b for a, b in zip(body, stream))
    data = b"".join(part + bytes(-len(part) % 16) for part in (more, sealed))
    data += struct.pack("<QQ", len(more), len(sealed))
    return sealed + poly1305(chacha20(key, nonce, 0)[:32], data)

#!/usr/bin/env python3
# tests/system/tls_records_test.py -- records that no library sends: an alert and the end, cheaply.
#
# Row 78. KeyUpdates without end are in tests/io/tls/session_test.cc, renegotiation is in tls_test.
import functools
import time
import unittest

import harness
import sinks
import tls_peers
import tls_records
import wire
from tls_records import (ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, RECORD_OVERFLOW,
                         TLS12, UNEXPECTED_MESSAGE, USER_CANCELED, record)

MANY = 10_000
PLAIN_MAX = 1 << 14
# Counted in hundredths. Who reads all of a flood takes longer; a sanitizer takes its own time.
CPU_SECONDS_MAX, CPU_SECONDS_MAX_SANITIZED = 0.2, 2
is_sanitized = functools.cache(harness.is_sanitized)
# What TLS 1.3 encrypts looks like application data: an alert is two bytes, its kind and a tag.
SEALED_ALERT_13 = record(APPLICATION_DATA, version=TLS12, length=2 + 1 + 16)
SEALED_ALERT_12 = record(ALERT, version=TLS12, length=2 + 16)


class Records(harness.SystemTest):
    def setUp(self):
        super().setUp()
        certificate = tls_peers.Certificate(self.directory, "made")
        self.sink = self.managed(sinks.RecordingSink()).up()
        self.backstay = self.daemon(self.sink.port, {
            "tls": certificate.settings(), "smtp": {"shards": 1}}).start()
        self.port = self.backstay.port
        self.cpu_max = (CPU_SECONDS_MAX_SANITIZED if is_sanitized(self.backstay.binary) else
                        CPU_SECONDS_MAX)
        wire.send_message(self.port, b"Subject: first\r\n\r\n")
        self.sink.wait_for(1, 20)
        time.sleep(0.3)  # whoever said goodbye is gone
        self.files = self.backstay.open_files()

    def cpu(self):
        return harness.process_cpu(self.backstay.process.pid)

    def ended(self, client, data):
        """What was said in reply, up to the end, which comes at once."""
        cpu = self.cpu()
        begin = time.monotonic()
        client.send(data)
        answer = client.rest(5)
        self.assertIsNotNone(answer, "not closed")
        self.assertLess(time.monotonic() - begin, 2)
        self.assertLess(self.cpu() - cpu, self.cpu_max)
        client.close()
        return answer

    def tearDown(self):
        harness.wait_until(lambda: self.backstay.open_files() <= self.files, 5, lambda: (
            f"{self.files} descriptors, {self.backstay.open_files()} are open"))
        self.assertRegex(wire.send_message(self.port, b"Subject: last\r\n\r\n"),
                         harness.QUEUE_ID)
        super().tearDown()


class BeforeTheHello(Records):
    def test_floods_are_answered_by_an_alert(self):
        for flood in (record(HANDSHAKE) * MANY,
                      record(APPLICATION_DATA) * MANY,
                      record(CHANGE_CIPHER_SPEC, b"\1") * MANY,
                      record(ALERT, USER_CANCELED) * MANY):
            client = tls_records.Starter(self.port)
            self.assertEqual(self.ended(client, flood), record(ALERT, UNEXPECTED_MESSAGE))

    def test_a_record_that_is_too_large_is_answered_by_an_alert(self):
        for size in (PLAIN_MAX + 1, PLAIN_MAX + 256, PLAIN_MAX + 257, 0xffff):
            hello = b"\1\0\xff\xff" + bytes(size - 4)
            client = tls_records.Starter(self.port)
            self.assertEqual(self.ended(client, record(HANDSHAKE, hello)),
                             record(ALERT, RECORD_OVERFLOW), size)

    def test_a_size_that_nobody_may_say_is_not_waited_for(self):
        client = tls_records.Starter(self.port)
        self.assertEqual(self.ended(client, record(HANDSHAKE, length=0xffff)),
                         record(ALERT, RECORD_OVERFLOW))

    def test_a_hello_in_records_of_a_byte_is_answered(self):
        hello = tls_records.client_hello()[5:]
        with tls_records.Starter(self.port) as client:
            cpu = self.cpu()
            client.send(b"".join(record(HANDSHAKE, hello[at:at + 1]) for at in range(len(hello))))
            self.assertTrue(client.receive())
            self.assertTrue(client.buffer.startswith(b"\x16\x03\x03"), client.buffer)  # ServerHello
            self.assertLess(self.cpu() - cpu, self.cpu_max)


class InTheHandshake(Records):
    """Behind the hello the server says its part, and then the alert inside of TLS 1.3."""

    def refused(self, flood):
        client = tls_records.Starter(self.port)
        client.send(tls_records.client_hello())
        self.assertTrue(client.receive())
        answer = self.ended(client, flood)
        self.assertEqual(answer[-24:-19], SEALED_ALERT_13, answer)

    def test_floods_are_answered_by_an_alert(self):
        for kind, body in ((HANDSHAKE, b""), (APPLICATION_DATA, b""), (ALERT, USER_CANCELED),
                           (CHANGE_CIPHER_SPEC, b"\1")):
            self.refused(record(kind, body, TLS12) * MANY)

    def test_a_record_that_is_too_large_is_answered_by_an_alert(self):
        for size in (PLAIN_MAX + 257, 0xffff):
            self.refused(record(APPLICATION_DATA, bytes(size), TLS12))


class Inside(Records):
    """Sealed with the session's keys: the server has to open each of them."""

    def client(self):
        return tls_records.Sealer(self.port, self.directory)

    def refused(self, client, data):
        answer = self.ended(client, data)
        self.assertTrue(answer.startswith(SEALED_ALERT_12), answer)
        self.assertEqual(len(answer), len(SEALED_ALERT_12) + 18)

    def test_what_is_sealed_by_hand_is_read(self):
        with self.client() as client:
            client.send(b"".join(client.seal(APPLICATION_DATA, b"%c" % one) for one in b"NOOP\r\n"))
            self.assertTrue(client.receive())
            self.assertEqual(len(client.buffer), 5 + len(b"250 2.0.0 Ok\r\n") + 16)

    def test_a_few_empty_records_do_no_harm(self):
        with self.client() as client:
            few = []
            for _ in range(50):
                few += [client.seal(APPLICATION_DATA) for _ in range(20)]
                few.append(client.seal(APPLICATION_DATA, b"NOOP\r\n"))
            client.send(b"".join(few))
            while len(client.buffer) < 50 * len(b"250 2.0.0 Ok\r\n"):
                self.assertTrue(client.receive())

    def test_floods_are_answered_by_an_alert(self):
        for kind, body in ((APPLICATION_DATA, b""), (ALERT, USER_CANCELED), (HANDSHAKE, b""),
                           (CHANGE_CIPHER_SPEC, b"\1")):
            client = self.client()
            self.refused(client, b"".join(client.seal(kind, body) for _ in range(1000)))

    def test_a_record_that_is_too_large_is_answered_by_an_alert(self):
        client = self.client()
        self.refused(client, client.seal(APPLICATION_DATA, b"NOOP\r\n" + bytes(PLAIN_MAX)))
        client = self.client()
        self.refused(client, record(APPLICATION_DATA, bytes(0xffff), TLS12))

    def test_content_in_records_of_a_byte_is_content(self):
        content = b"Subject: bytes\r\n\r\n" + b"%05d\r\n" * 300 % tuple(range(300))
        settings = tls_peers.context()
        with tls_peers.TlsWire(self.port, settings) as client:
            client.hello()
            client.open_data()
            cpu = self.cpu()
            for at in range(len(content)):
                client.send(content[at:at + 1])
            self.assertRegex(client.command(b"."), harness.QUEUED)
            cpu = self.cpu() - cpu
        print(f"{len(content)} records of a byte cost {cpu:.2f} s")
        self.assertLess(cpu, 5 * self.cpu_max)
        self.sink.wait_for(2, 20)
        self.assert_relayed(self.sink.messages[1].content, content)


if __name__ == "__main__":
    unittest.main(verbosity=2)

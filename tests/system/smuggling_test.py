#!/usr/bin/env python3
# tests/system/smuggling_test.py -- in front of Postfix, Exim and smtp-sink never more than one comes out.
import re
import time
import unittest

import harness
import mail_servers
import peers
import sinks
import tls_peers
import wire

# Everything that some server took for the end of data.
SEQUENCES = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\n", b"\n.\r", b"\r.\r\n", b"\r\n.\r",
             b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\r\n", b"\r\r\n.\r\r\n"]
# What looks like a dot or a line's end and is content.
LOOKALIKES = [b"\r\n. \r\n", b"\r\n.\t\r\n", b"\r\n\xef\xbc\x8e\r\n", b"\xc2\x85.\xc2\x85",
              b"\xe2\x80\xa8.\xe2\x80\xa8"]
SMUGGLED = (b"MAIL FROM:<evil@smuggler.test>\r\nRCPT TO:<victim@example.com>\r\nDATA\r\n"
            b"Subject: smuggled\r\n\r\nsmuggled\r\n.\r\n")
SIZE_MAX = 64 * 1024


class Attack:
    """Messages with a number each, through one port; what may come out and what may not."""

    def __init__(self, port, certificate):
        self.port = port
        self.certificate = certificate
        self.count = 0
        self.taken = {}    # number: its content, or None where it may be altered
        self.refused = {}  # number: the reply

    def send(self, pieces, exact=None, tls=False, header=True):
        """One message, each piece in a packet (or record) of its own."""
        self.count += 1
        head = b"Subject: number %d\r\nX-Filler: y\r\n\r\n" % self.count if header else b""
        made = (tls_peers.TlsWire(self.port, tls_peers.context(self.certificate)) if tls else
                wire.Wire(self.port))
        with made as client:
            client.hello()
            client.open_data(b"number-%d@load.test" % self.count)
            client.send(head + pieces[0])
            for piece in pieces[1:]:
                time.sleep(0.002)
                client.send(piece)
            reply = client.reply()
            if reply.startswith(b"250"):
                self.taken[self.count] = exact and head + exact
            else:
                self.refused[self.count] = reply
            if not reply.startswith(b"521"):
                try:
                    client.send(b"QUIT\r\n")
                except OSError:
                    pass
            client.rest()
            return reply

    def rows_1_to_8(self):
        """In the middle, at the very start, and cut at every byte."""
        for sequence in SEQUENCES:
            yield self.send([b"outer" + sequence + SMUGGLED])
            yield self.send([sequence + SMUGGLED], header=False)
            for cut in range(1, len(sequence)):
                yield self.send([b"outer" + sequence[:cut], sequence[cut:] + SMUGGLED])

    def row_9(self):
        for each in LOOKALIKES:
            content = b"outer" + each + SMUGGLED[:-3]
            # A dot that begins a line is one too many for a sender that stuffs: it goes away.
            yield self.send([content + b".\r\n"], content.replace(b"\r\n.", b"\r\n"))

    def row_11(self):
        too_much = (b"z" * 70 + b"\r\n") * 1000
        for sequence in SEQUENCES:
            yield self.send([too_much + sequence + SMUGGLED])

    def rows_12_to_15(self):
        yield self.send([b".\r\n"], header=False)
        end = b"last\r\n.\r\n"
        for tls in (False, True):
            for cut in range(4, len(end)):
                yield self.send([b"line\r\n" + end[:cut], end[cut:]], b"line\r\nlast\r\n", tls)
        line = b"w" * 70 + b"\r\n"
        for size in (4096, 8192, 16384, 32768):
            for edge in range(size - 2, size + 3):  # the stuffed dot is byte `edge` of the data
                before = b"Subject: number %d\r\nX-Filler: y\r\n\r\n" % (self.count + 1)
                room = edge - len(before)
                filler = line * (room // len(line) - 1)
                filler += b"v" * (room - len(filler) - 2) + b"\r\n"
                assert len(before + filler) == edge
                yield self.send([filler + b"..dot\r\n..\r\n.\r\n"], filler + b".dot\r\n.\r\n")
        dots = b".\r\n..\r\n.text\r\n...\r\n"
        yield self.send([re.sub(rb"(?m)^\.", b"..", dots) + b".\r\n"], dots)
        for header in (b"..\r\n", b"...\r\n", b"..x\r\n"):
            yield self.send([header + b"X: y\r\n\r\nbody\r\n.\r\n"], header=False)


class Smuggling:
    """For each primary: `primary()` starts it and gives what has come out of it by now."""

    def setUp(self):
        super().setUp()
        self.certificate = tls_peers.Certificate(self.directory, "ours")
        self.behind = self.managed(sinks.RecordingSink()).up()
        self.primary_port = harness.free_port()
        self.received = self.primary()

    def attack(self, line_endings):
        self.backstay = self.daemon(self.primary_port, {
            "tls": self.certificate.settings(),
            "smtp": {"line_endings": line_endings, "max_message_size": f"{SIZE_MAX // 1024}KiB"}})
        return Attack(self.backstay.start().port, self.certificate)

    def judge(self, attack):
        """Each message that was taken came out once, the others not at all, and nothing else did."""
        wanted = len(attack.taken)
        harness.wait_until(lambda: len(self.received()) >= wanted, 60,
                           lambda: f"{wanted} messages, {len(self.received())} came")
        time.sleep(1)
        received = self.received()
        self.assertEqual(len(received), wanted)
        self.assertFalse([each for each in received if b"by mx2.backstay.test" not in each])
        self.assertFalse([each for each in received if b"\nSubject: smuggled" in
                          each.partition(b"\r\n\r\n")[0]])
        numbers = [number for each in received
                   for number in re.findall(rb"^Subject: number (\d+)\r$", each, re.M)[:1]]
        self.assertEqual(len(set(numbers)), len(numbers))
        for each in received:
            self.assertNotRegex(each, rb"\r(?!\n)|(?<!\r)\n|\0")
        for number, content in attack.taken.items():
            if content:
                self.assertTrue(any(each.endswith(content) for each in received),
                                (number, content[-80:]))
        print(f"{attack.count} attacks, {wanted} taken and come out")

    def test_refused(self):
        attack = self.attack("reject")
        for reply in attack.rows_1_to_8():
            self.assertRegex(reply, rb"^(521 5\.5\.2|550 5\.6\.0) ")
        for reply in attack.row_11():
            self.assertRegex(reply, rb"^(552 5\.3\.4|521 5\.5\.2|550 5\.6\.0) ")
        self.assertEqual(attack.taken, {})
        for rows in (attack.row_9(), attack.rows_12_to_15()):
            for reply in rows:
                self.assertRegex(reply, harness.QUEUED)
        self.judge(attack)

    def test_normalized(self):
        attack = self.attack("normalize")
        for reply in attack.rows_1_to_8():
            self.assertRegex(reply, rb"^(250 2\.0\.0|550 5\.6\.0) ")
        self.assertEqual(len(attack.refused), 14)  # two sequences with NUL, seven ways each
        for reply in attack.row_11():
            self.assertRegex(reply, rb"^(552 5\.3\.4|550 5\.6\.0) ")
        for rows in (attack.row_9(), attack.rows_12_to_15()):
            for reply in rows:
                self.assertRegex(reply, harness.QUEUED)
        self.judge(attack)


class SmtpSink(Smuggling, harness.SystemTest):
    def primary(self):
        return self.managed(peers.SmtpSink(self.primary_port,
                                           dump=f"{self.directory}/dump")).contents


class Relaying(Smuggling):
    def primary(self):
        self.server()
        return lambda: [message.content for message in list(self.behind.messages)]


@unittest.skipUnless(peers.Postfix.available(), "chroot wants root")
class Exim(Relaying, harness.SystemTest):
    def server(self):
        self.managed(mail_servers.Exim(f"{self.directory}/exim", self.primary_port,
                                       self.behind.port))


@unittest.skipUnless(peers.Postfix.available(), "Postfix's master wants root")
class Postfix(Relaying, harness.SystemTest):
    def server(self, bare="no"):
        self.managed(peers.Postfix(f"{self.directory}/postfix", self.primary_port,
                                   self.behind.port, {"smtpd_forbid_bare_newline": bare}))

    # What the rest of this file would see if we let it through: this Postfix has no defence.
    def test_without_us_the_smuggled_message_comes_out(self):
        attack = Attack(self.primary_port, None)
        self.assertTrue(attack.send([b"outer\n.\r\n" + SMUGGLED]).startswith(b"250"))
        self.behind.wait_for(2, 20)
        self.assertEqual(self.behind.messages[-1].recipients, ["victim@example.com"])
        with self.assertRaises(AssertionError):
            self.judge(attack)


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# tests/system/first_mail_test.py -- the first minute: mail while the primary is down, then its return.
import time
import unittest

import harness
import peers
import sinks
import wire


def shard_of(queue_id):
    """FORMAT.md 7: the last 52 bits are segment and place."""
    number = 0
    for digit in queue_id:
        number = number * 31 + "0123456789BCDFGHJKLMNPQRSTVWXYZ".index(digit)
    return number >> 52 & 0x3ff


class FirstMail(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.sink = self.managed(sinks.RecordingSink())
        self.backstay = self.daemon(self.sink.port).start()

    def test_primary_returns_and_mail_arrives_within_two_seconds(self):
        transcript, queue_id = peers.swaks(self.backstay.port, "--body", "first mail\n.\n..dots")
        self.assertIn(f"250 2.0.0 Ok: queued as {queue_id}", transcript)
        time.sleep(1)
        up = time.monotonic()
        self.sink.up()
        self.sink.wait_for(1, 2)
        print(f"arrived {self.sink.messages[0].at - up:.2f} s after the primary's return")
        message = self.sink.messages[0]
        self.assertEqual((message.sender, message.recipients), ("s@load.test", ["a@example.com"]))
        self.assertIn(b"first mail\r\n.\r\n..dots\r\n", message.content)
        sent = message.content[message.content.index(b"\r\nDate: ") + 2:]
        self.assert_relayed(message.content, sent, queue_id)

    def test_delivered_mail_has_left_the_spool(self):
        self.sink.up()
        peers.swaks(self.backstay.port)
        self.sink.wait_for(1, 5)
        self.sink.down()
        self.assertEqual(self.backstay.stop(), 0)
        self.backstay.start()
        self.sink.up()
        time.sleep(3)
        self.assertEqual(len(self.sink.messages), 1)

    def test_waiting_mail_survives_a_clean_restart(self):
        _, queue_id = peers.swaks(self.backstay.port)
        self.assertEqual(self.backstay.stop(), 0)
        self.sink.up()
        self.backstay.start()
        self.sink.wait_for(1, 3)
        self.assertIn(queue_id.encode(), self.sink.messages[0].content)
        time.sleep(1)
        self.assertEqual(len(self.sink.messages), 1)


    def test_fewer_shards_drain_those_of_before_and_give_them_nothing_new(self):
        self.assertEqual(self.backstay.stop(), 0)
        self.backstay.settings["smtp"]["shards"] = 4
        self.backstay.write_config()
        self.backstay.start()
        before = [peers.swaks(self.backstay.port)[1] for _ in range(20)]
        self.assertGreater(len({shard_of(queue_id) for queue_id in before}), 1)
        self.assertEqual(self.backstay.stop(), 0)
        self.backstay.settings["smtp"]["shards"] = 1
        self.backstay.write_config()
        self.backstay.start()
        ids = [peers.swaks(self.backstay.port)[1] for _ in range(20)]
        self.sink.up()
        self.sink.wait_for(40, 20)
        self.assertEqual({shard_of(queue_id) for queue_id in ids}, {0})


class Reasons(harness.SystemTest):
    def test_log_says_why_a_primary_is_down_whichever_shard_found_out(self):
        ports = [harness.free_port() for _ in range(16)]  # of 4 shards, one each probes 4 or so
        backstay = self.daemon(0, {"smtp": {"shards": 4}})
        backstay.settings["domain"] = [{"name": f"d{port}.example", "primary": [f"127.0.0.1:{port}"]}
                                       for port in ports]
        backstay.write_config()
        backstay.start()
        with wire.Wire(backstay.port) as client:  # one connection, so one shard has all of it
            client.hello()
            for port in ports:
                client.open_data(recipient=b"a@d%d.example" % port)
                self.assertRegex(client.command(b"Subject: x\r\n\r\nx\r\n."), harness.QUEUED)
        for port in ports:
            line = (f"primary 127.0.0.1:{port} is down "
                    f"(127.0.0.1:{port}: connect: connection refused); probing")
            harness.wait_until(lambda: line in backstay.log(), 5, backstay.log)


if __name__ == "__main__":
    unittest.main(verbosity=2)

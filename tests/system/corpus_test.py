#!/usr/bin/env python3
# tests/system/corpus_test.py -- real messages over an outage and a restart arrive byte for byte.
#
# All 6,046 messages; BACKSTAY_CORPUS_STRIDE=20 takes every twentieth.
import os
import re
import subprocess
import time
import unittest

import harness
import loader
import sinks

STRIDE = int(os.environ.get("BACKSTAY_CORPUS_STRIDE", "1"))
MESSAGES_MAX = 20000


def corpus():
    """The messages as a correct client may send them: CRLF line ends, no stray CR or LF, no NUL."""
    directory = os.path.join(harness.TOP, "build/peers/corpus/package/data")
    if not os.path.isdir(directory):
        subprocess.run([os.path.join(harness.TOP, "tools/peers"), "corpus"], check=True,
                       timeout=600, stdout=subprocess.DEVNULL)
    paths = sorted(os.path.join(folder, name) for folder, _, names in os.walk(directory)
                   for name in names if name.endswith(".txt"))
    contents = []
    for path in paths[:MESSAGES_MAX:STRIDE]:
        with open(path, "rb") as file:
            text = re.sub(rb"\r\n|\r|\n", b"\r\n", file.read().replace(b"\0", b""))
        contents.append(text if text.endswith(b"\r\n") else text + b"\r\n")
    return contents


class Corpus(harness.SystemTest):
    def test_every_message_arrives_as_sent(self):
        contents = corpus()
        self.assertGreaterEqual(len(contents), 6046 // STRIDE)
        sink = self.managed(sinks.RecordingSink())
        backstay = self.daemon(sink.port).start()
        begin = time.monotonic()
        load = loader.Load(backstay.port, 16, lambda number: loader.Outgoing(
            f"sender-{number}@load.test", [f"message-{number}@example.com"], contents[number]),
            limit=len(contents)).start().join(300)
        self.assertEqual((load.refused, load.errors), ({}, []))
        self.assertEqual(len(load.acknowledged), len(contents))
        taken = time.monotonic()
        self.assertEqual(backstay.stop(), 0)
        backstay.start()
        up = time.monotonic()
        sink.up()
        sink.wait_for(len(contents), 300)
        print(f"{len(contents)} messages of {sum(map(len, contents))} bytes: taken in "
              f"{taken - begin:.1f} s, delivered in {time.monotonic() - up:.1f} s")
        time.sleep(0.5)
        self.assertEqual(len(sink.messages), len(contents))
        for message in sink.messages:
            number = int(re.fullmatch(r"message-(\d+)@example\.com", message.recipients[0])[1])
            self.assertEqual(message.sender, f"sender-{number}@load.test")
            self.assert_relayed(message.content, contents[number], load.acknowledged[number])
            contents[number] = None  # each once
        self.assertEqual(sink.violations, [])


if __name__ == "__main__":
    unittest.main(verbosity=2)

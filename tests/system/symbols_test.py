#!/usr/bin/env python3
# tests/system/symbols_test.py -- the two definitions of Io never meet in one program.
import re
import subprocess
import unittest

import harness

SIMULATOR = re.compile(r"\bbackstay::(sim::|World\b|SimBackend\b|SimFile\b)")
RING = re.compile(r"\b_*io_uring_\w+|backstay::Uring\w+")


def symbols(name):
    done = subprocess.run(["nm", "-C", harness.binary(name)], capture_output=True, text=True,
                          timeout=120, check=True)
    return done.stdout


class Symbols(unittest.TestCase):
    def test_the_daemon_has_the_ring_and_no_simulator(self):
        text = symbols("backstayd")
        self.assertRegex(text, RING)
        self.assertIsNone(SIMULATOR.search(text))

    def test_the_simulator_has_no_ring(self):
        text = symbols("backstay-sim")
        self.assertRegex(text, SIMULATOR)
        self.assertIsNone(RING.search(text))


if __name__ == "__main__":
    unittest.main(verbosity=2)

#!/usr/bin/env python3
# tests/system/audit_test.py -- the short form of bench/audit.py, and that it would see a loss.
import argparse
import os
import sys
import unittest

import harness

sys.path.insert(0, os.path.join(harness.TOP, "bench"))
import audit  # noqa: E402

KILLS = int(os.environ.get("BACKSTAY_KILLS", "4"))


def arguments(**changes):
    plain = {"server": "backstay", "seconds": 6, "kills": KILLS, "connections": 16, "rate": 0,
             "recipients": 2, "size": "1KiB-16KiB:40,600KiB:1", "outage": "1s 2s every 4s",
             "drain": 60, "seed": 7, "directory": None}
    return argparse.Namespace(**plain | changes)


class Forgetful(audit.Backstay):
    """With each kill the log of its first shard is gone."""

    def kill(self):
        super().kill()
        shard = os.path.join(self.daemon.spool, "shard-000")
        for name in os.listdir(shard):
            if name.startswith("segment-"):
                os.remove(os.path.join(shard, name))


class Audit(harness.SystemTest):
    def test_nothing_is_lost_or_damaged(self):
        found = audit.audit(arguments(), self.directory)
        audit.report(found)
        self.assertEqual((found["lost"], found["queued"], found["damaged"], found["violations"]),
                         (0, 0, 0, 0), found)
        self.assertGreater(found["acknowledged"], 200)
        self.assertGreaterEqual(found["kills"], 2)

    def test_a_loss_is_seen(self):
        audit.SERVERS["forgetful"] = Forgetful
        found = audit.audit(arguments(server="forgetful", outage="1s 6s", seconds=4, kills=1,
                                      drain=30), self.directory)
        self.assertGreater(found["lost"], 0, found)
        self.assertEqual(found["queued"], 0, found)


if __name__ == "__main__":
    unittest.main(verbosity=2)

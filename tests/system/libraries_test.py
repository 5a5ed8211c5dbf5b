#!/usr/bin/env python3
# tests/system/libraries_test.py -- one TLS library: no OpenSSL enters a process beside BoringSSL.
import os
import re
import subprocess
import unittest

import harness

OPENSSL = re.compile(r"lib(ssl|crypto)\.so\.\d*[1-9]\S*")  # BoringSSL's soname is .so.0
BORINGSSL_SYMBOL = re.compile(r"\bT (OPENSSL_)?(BORINGSSL_\w+|CRYPTO_library_init|"
                              r"CRYPTO_is_confidential_build)$", re.M)


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


def programs():
    paths = [os.path.join(harness.BIN, name) for name in sorted(os.listdir(harness.BIN))]
    return [path for path in paths if os.path.isfile(path) and os.access(path, os.X_OK)]


class Libraries(harness.SystemTest):
    def test_no_program_links_openssl(self):
        self.assertIn(harness.binary("backstayd"), programs())
        for path in programs():
            with self.subTest(os.path.basename(path)):
                self.assertIsNone(OPENSSL.search(output("readelf", "-d", path)))
                resolved = output("ldd", path)
                self.assertNotIn("not found", resolved)
                self.assertIsNone(OPENSSL.search(resolved), resolved)

    def test_backstayd_has_boringssl(self):
        path = harness.binary("backstayd")
        shared = re.findall(r"lib(?:crypto|ssl)\.so\.0 => (\S+)", output("ldd", path))
        static = BORINGSSL_SYMBOL.search(output("nm", path))
        self.assertTrue(shared or static, "neither the shared nor the static BoringSSL")
        for library in shared:
            self.assertIn("/android/", library)

    def test_running_daemon_has_mapped_no_openssl(self):
        backstay = self.daemon(harness.free_port()).start()
        with open(f"/proc/{backstay.process.pid}/maps", encoding="utf-8") as file:
            maps = file.read()
        self.assertIn("backstayd", maps)
        self.assertIsNone(OPENSSL.search(maps))


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""`cmake --install` into an empty prefix: everything is there, and what is there works."""

import gzip
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from installed import serve_once

BUILD = os.environ["TALLY_BUILD"]


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.prefix = tempfile.mkdtemp(prefix="tally-packaging-")
        cls.addClassCleanup(shutil.rmtree, cls.prefix)
        done = subprocess.run(["cmake", "--install", BUILD, "--prefix", cls.prefix], check=False,
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise AssertionError(done.stdout + done.stderr)

    def path(self, *parts):
        return os.path.join(self.prefix, *parts)

    def read(self, *parts):
        with open(self.path(*parts), encoding="utf-8") as file:
            return file.read()

    def test_everything_is_in_its_place(self):
        found = {os.path.relpath(os.path.join(folder, name), self.prefix)
                 for folder, _, names in os.walk(self.prefix) for name in names}
        found = {re.sub(r"^lib/[a-z0-9_]+-linux-gnu[a-z0-9]*/", "lib/", name) for name in found}
        for name in ("bin/tally", "bin/tallyd", "etc/tally/tally.conf", "include/tally.h",
                     "lib/libtally.a", "lib/libtally.so", "lib/pkgconfig/tally.pc",
                     "lib/cmake/tally/tally-config.cmake", "lib/systemd/system/tallyd.service",
                     "share/man/man1/tally.1.gz", "share/man/man8/tallyd.8.gz",
                     "share/bash-completion/completions/tally", "share/doc/tally/LICENSE",
                     "share/doc/tally/README.md", "share/doc/tally/OPERATING.md",
                     "share/doc/libtally-dev/examples/embedded.c"):
            self.assertIn(name, found)
        self.assertEqual([name for name in found if "debian" in name.lower() or "/." in name], [],
                         "what is for packages only, and hidden files")

    def test_the_service_names_what_was_configured(self):
        unit = self.read("lib", "systemd", "system", "tallyd.service")
        found = re.search(r"(?m)^ExecStart=(/.*)/bin/tallyd --config (/.*)/tally/tally\.conf$", unit)
        self.assertTrue(found, unit)
        self.assertNotIn("@", re.sub(r"=.*@[a-z-]+", "", unit), "nothing was left to fill in")
        for line in ("Type=notify", "DynamicUser=yes", "StateDirectory=tally",
                     "RuntimeDirectory=tally", "ProtectSystem=strict", "NoNewPrivileges=yes",
                     "Restart=on-failure", "WantedBy=multi-user.target"):
            self.assertIn(line + "\n", unit)

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd is not installed")
    def test_systemd_takes_the_service(self):
        unit = self.path("lib", "systemd", "system", "tallyd.service")
        checked = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], check=False,
                                 capture_output=True, text=True)
        # The program is elsewhere; everything else that it says is a mistake of ours.
        complaints = [line for line in checked.stderr.splitlines()
                      if os.path.basename(unit) in line and "is not executable" not in line]
        self.assertEqual(complaints, [])

    def test_the_manuals_are_there(self):
        for section, name in (("1", "tally"), ("8", "tallyd")):
            with gzip.open(self.path("share", "man", f"man{section}", f"{name}.{section}.gz"),
                           "rt", encoding="utf-8") as file:
                self.assertIn(f".Dt {name.upper()} {section}", file.read())

    def test_the_installed_server_runs_with_the_installed_example(self):
        log = serve_once(self.path("bin", "tallyd"), self.path("etc", "tally", "tally.conf"))
        self.assertIn("event=stopped exit_code=0", log)


if __name__ == "__main__":
    unittest.main(verbosity=2)

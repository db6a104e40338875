"""The Debian packages: their contents, their control files, and what is in them at work."""

import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from installed import serve_once

SOURCE = os.environ["TALLY_SOURCE"]


def run(*command, **more):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False, capture_output=True,
                          text=True, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="tally-packaging-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        build = os.path.join(cls.directory, "build")
        run(os.path.join(SOURCE, "tools", "package"), "--build", build)  # with lintian
        cls.root = os.path.join(cls.directory, "root")
        cls.files = {}
        for path in glob.glob(os.path.join(build, "packages", "*.deb")):
            name = os.path.basename(path).split("_")[0]
            cls.files[name] = path
            run("dpkg-deb", "-x", path, cls.root)

    def contents(self, name):
        """{path: (mode, owner)} of a package."""
        rows = (line.split() for line in
                run("dpkg-deb", "-c", self.files[name]).splitlines())
        return {row[5]: (row[0], row[1]) for row in rows}

    def control(self, name, field):
        return run("dpkg-deb", "-f", self.files[name], field).strip()

    def member(self, name, member):
        return run("dpkg-deb", "-I", self.files[name], member)

    def test_there_are_three(self):
        self.assertEqual(sorted(self.files), ["libtally-dev", "libtally0", "tally"])

    def test_each_has_what_belongs_to_it(self):
        wanted = {
            "tally": ["./usr/bin/tally", "./usr/bin/tallyd", "./etc/tally/tally.conf",
                      "./lib/systemd/system/tallyd.service", "./usr/share/man/man1/tally.1.gz",
                      "./usr/share/man/man8/tallyd.8.gz",
                      "./usr/share/bash-completion/completions/tally",
                      "./usr/share/doc/tally/OPERATING.md"],
            "libtally0": [r"./usr/lib/.*/libtally\.so\.0", r"./usr/lib/.*/libtally\.so\.0\.1\.0"],
            "libtally-dev": ["./usr/include/tally.h", r"./usr/lib/.*/libtally\.a",
                             r"./usr/lib/.*/libtally\.so", r"./usr/lib/.*/pkgconfig/tally.pc",
                             r"./usr/lib/.*/cmake/tally/tally-config.cmake",
                             "./usr/share/doc/libtally-dev/examples/embedded.c"],
        }
        for name, patterns in wanted.items():
            contents = self.contents(name)
            for pattern in patterns + [f"./usr/share/doc/{name}/copyright",
                                       f"./usr/share/doc/{name}/changelog.Debian.gz"]:
                self.assertTrue(any(re.fullmatch(pattern, path) for path in contents),
                                f"{name} lacks {pattern}")
            for path in contents:
                self.assertNotRegex(path, r"LICENSE|/\.[^/]+$")
        self.assertFalse([path for path in self.contents("tally") if "/lib/x86" in path])

    def test_owners_and_modes(self):
        for name in self.files:
            for path, (mode, owner) in self.contents(name).items():
                self.assertEqual(owner, "root/root", path)
                if mode[0] == "l":
                    continue
                is_program = mode[0] == "d" or "/bin/" in path
                self.assertEqual(mode[1:], "rwxr-xr-x" if is_program else "rw-r--r--", path)

    def test_they_depend_on_what_they_need(self):
        for library in ("libc6", "libcurl4", "libjansson4", "liblmdb0", "libsodium23",
                        "libsystemd0", "libuv1"):
            self.assertIn(library, self.control("tally", "Depends"))
        self.assertIn("liblmdb0", self.control("libtally0", "Depends"))
        self.assertNotIn("libuv1", self.control("libtally0", "Depends"))
        version = self.control("libtally0", "Version")
        self.assertIn(f"libtally0 (= {version})", self.control("libtally-dev", "Depends"))
        self.assertIn("liblmdb-dev", self.control("libtally-dev", "Depends"))

    def test_control_files(self):
        self.assertEqual(self.member("tally", "conffiles"), "/etc/tally/tally.conf\n")
        for script in ("postinst", "prerm", "postrm"):
            self.assertIn("tallyd.service", self.member("tally", script))
            self.assertTrue(self.member("tally", script).startswith("#!/bin/sh\n"))
        self.assertIn("libtally 0 libtally0 (>= 0.1.0", self.member("libtally0", "shlibs"))
        self.assertIn("activate-noawait ldconfig", self.member("libtally0", "triggers"))

    def test_programs_are_stripped_and_hardened(self):
        for program in ("tally", "tallyd"):
            path = os.path.join(self.root, "usr", "bin", program)
            self.assertNotIn(".symtab", run("readelf", "-SW", path))
            self.assertIn("DYN (Position-Independent", run("readelf", "-hW", path))
            self.assertIn("BIND_NOW", run("readelf", "-dW", path))
            self.assertNotRegex(run("readelf", "-dW", path), "R(UN)?PATH")

    def test_the_server_runs_with_the_example(self):
        program = os.path.join(self.root, "usr", "bin", "tallyd")
        unit = os.path.join(self.root, "lib", "systemd", "system", "tallyd.service")
        with open(unit, encoding="utf-8") as file:
            self.assertIn("ExecStart=/usr/bin/tallyd --config /etc/tally/tally.conf\n", file.read())
        log = serve_once(program, os.path.join(self.root, "etc", "tally", "tally.conf"))
        self.assertIn("event=stopped exit_code=0", log)


if __name__ == "__main__":
    unittest.main(verbosity=2)

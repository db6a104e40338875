"""tally(1) says all that --help says, and is well-formed."""

import os
import re
import shutil
import subprocess
import unittest

import tool

MANUAL = os.environ.get("TALLY_MANUAL", "")


def sections(text):
    """The commands' parts by name."""
    found = re.split(r"(?m)^\.Ss tally (\w+)\n", text.split(".Sh ENVIRONMENT")[0])
    return dict(zip(found[1::2], found[2::2]))


class Manual(unittest.TestCase):
    def setUp(self):
        with open(MANUAL, encoding="utf-8") as file:
            self.text = file.read()

    def test_every_command_and_flag_is_in_it(self):
        parts = sections(self.text)
        commands = [name for name in tool.run("help", "--words").out.split() if name != "help"]
        self.assertEqual(sorted(parts), sorted(commands))
        for command in commands:
            page = tool.run("help", command).out
            flags = re.findall(r"(?m)^  --([\w-]+)(?:\[?[ =]([A-Z=]+)\]?)?(?=  |$)", page)
            self.assertGreater(len(flags), 1, page)
            for name, value in flags:
                self.assertRegex(parts[command], rf"(?m)^\.It Fl Fl {name}\b.*{value}")
            # And the other way round: nothing that is gone.
            self.assertEqual(len(flags), parts[command].count(".It Fl Fl "), command)

    @unittest.skipUnless(shutil.which("mandoc"), "no mandoc (tools/dependencies installs it)")
    def test_mandoc_has_nothing_against_it(self):
        found = subprocess.run(["mandoc", "-Tlint", "-Wstyle", MANUAL], capture_output=True,
                               text=True, check=False).stdout
        # Where tallyd(8) is not installed, a reference to it is to nothing.
        found = [line for line in found.splitlines() if "referenced manual not found" not in line]
        self.assertEqual(found, [])

    @unittest.skipUnless(shutil.which("mandoc"), "no mandoc (tools/dependencies installs it)")
    def test_examples_can_be_copied(self):
        shown = subprocess.run(["mandoc", "-Tutf8", MANUAL], capture_output=True, text=True,
                               check=True).stdout
        self.assertIn("tally status --json | jq .dedup.effective_window_ms",
                      re.sub(".\b", "", shown))


if __name__ == "__main__":
    tool.main()

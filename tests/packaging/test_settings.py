"""Every setting is documented, with its default, wherever settings are documented."""

import os
import re
import shutil
import subprocess
import unittest

TALLYD = os.environ["TALLYD"]
SOURCE = os.environ["TALLY_SOURCE"]
EXAMPLE = os.path.join(SOURCE, "packaging", "tally.conf")
MANUAL = os.path.join(SOURCE, "packaging", "tallyd.8")


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


def run(*command):
    """Its standard output; fails unless it ends with 0."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("TALLY_")}
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=True,
                          capture_output=True, text=True).stdout


def settings():
    """{name: default} of the program itself, in its own order."""
    lines = run(TALLYD, "--check").splitlines()
    return dict(re.fullmatch(r"(\S+) = (.*?) +# default", line).groups() for line in lines)


def flags():
    """{name: what --help calls its value, or None}."""
    return {name: value for name, value in
            re.findall(r"(?m)^  --([a-z-]+)(?: ([A-Z:]+))?(?: |$|,)", run(TALLYD, "--help"))}


class Settings(unittest.TestCase):
    maxDiff = None

    def test_help_lists_them_in_order(self):
        self.assertEqual([name for name in flags() if name not in ("config", "check", "help")],
                         list(settings()))

    def test_the_example_has_every_default(self):
        documented = re.findall(r"(?m)^#([a-z-]+) = (.*)$", read("packaging", "tally.conf"))
        self.assertEqual(documented, list(settings().items()))

    def test_the_example_changes_nothing_but_the_directory(self):
        lines = run(TALLYD, "--config", EXAMPLE, "--check").splitlines()
        changed = [line.split(" #")[0].rstrip() for line in lines
                   if not line.endswith("# default")]
        self.assertEqual(changed, ["data = /var/lib/tally"])

    def test_the_example_is_right_without_its_comment_signs(self):
        text = re.sub(r"(?m)^#(?=[a-z-]+ = )", "", read("packaging", "tally.conf"))
        text = text.replace("data = tally-data\n", "")
        checked = subprocess.run([TALLYD, "--config", "/dev/stdin", "--check"], input=text,
                                 capture_output=True, text=True, check=False)
        self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_the_manual_has_every_flag_with_its_default(self):
        text = read("packaging", "tallyd.8")
        documented = {}
        for name, value, rest in re.findall(
                r"(?ms)^\.It Fl Fl ([a-z-]+)([^\n]*)\n(.*?)(?=^\.It |^\.El)", text):
            value = re.search(r"Ar (\S+)", value)
            default = re.search(r"The default is\n\.Cm (\S+)", rest)
            documented[name] = (value.group(1) if value else "",
                                default.group(1) if default else None)
        expected = {name: (value, settings().get(name)) for name, value in flags().items()}
        self.assertEqual(documented, expected)

    def test_the_operators_guide_has_every_flag_with_its_default(self):
        documented = re.findall(r"(?m)^\| `--([a-z-]+)(?: [A-Z:]+)?` \| `([^`]*)` \|",
                                read("docs", "OPERATING.md"))
        self.assertEqual(documented, list(settings().items()))

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_the_manual_is_well_formed(self):
        checked = subprocess.run(["mandoc", "-Tlint", "-W", "warning", MANUAL], check=False,
                                 capture_output=True, text=True)
        self.assertEqual((checked.returncode, checked.stdout), (0, ""))


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""What bash completes after `tally`: the function of packaging/tally.bash-completion is called as
bash calls it, with the words of a command line that bash has cut at its COMP_WORDBREAKS."""

import os
import subprocess
import tempfile
import unittest

import tool

COMPLETION = os.environ.get("TALLY_COMPLETION", "")
SCRIPT = r"""
set -u
compopt() { :; } # only bash itself may call it
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_tally "$TALLY" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]+"${COMPREPLY[@]}"}"
"""


def complete(*words, directory=None):
    """What the last word may become; the first is the program's name."""
    done = subprocess.run(["bash", "-c", SCRIPT, "bash", COMPLETION, "tally", *words],
                          env=tool.environment(TALLY=tool.PROGRAM), cwd=directory,
                          capture_output=True, text=True, check=False, timeout=tool.SECONDS)
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"{words}: {done}")
    return sorted(done.stdout.split())


class Completion(unittest.TestCase):
    def test_commands(self):
        self.assertEqual(complete("us"), ["usage"])
        self.assertEqual(complete("--v"), ["--version"])
        self.assertEqual(complete("help", "w"), ["workflows"])
        everything = complete("")
        self.assertEqual(everything, sorted([*tool.run("help", "--words").out.split(), "--help",
                                             "--version"]))

    def test_flags(self):
        self.assertEqual(complete("status", "--w"), ["--watch"])
        self.assertEqual(complete("usage", "--freq", "daily", "--e"), ["--end", "--extended"])
        self.assertEqual(complete("nonsense", "--"), [])

    def test_choices(self):
        self.assertEqual(complete("usage", "--freq", ""), ["daily", "hourly", "monthly", "weekly"])
        self.assertEqual(complete("usage", "--freq", "=", "w"), ["weekly"])
        self.assertEqual(complete("usage", "--freq", "="), ["daily", "hourly", "monthly", "weekly"])
        self.assertEqual(complete("export", "u"), ["usage"])

    def test_files_and_directories(self):
        with tempfile.TemporaryDirectory(prefix="tally-tool-") as path:
            os.mkdir(os.path.join(path, "database"))
            with open(os.path.join(path, "events.csv"), "w", encoding="ascii"):
                pass
            self.assertEqual(complete("status", "--data", "", directory=path), ["database"])
            self.assertEqual(complete("import", "e", directory=path), ["events.csv"])
            self.assertEqual(complete("import", "--rejects", "=", "ev", directory=path),
                             ["events.csv"])
            # A text that only its author knows, and a command without words.
            self.assertEqual(complete("usage", "--start", "", directory=path), [])
            self.assertEqual(complete("status", "", directory=path), [])


if __name__ == "__main__":
    tool.main()

"""Runs the real `tally` for the tests in this folder. Standard library only.

Environment, set by CMake: TALLY, the path of the program under test (required).
"""

import os
import signal
import subprocess
import sys

import tallyd

PROGRAM = os.environ.get("TALLY", "")
SECONDS = 120  # that anything may take on a loaded machine


class Result:
    """What a run came to: exit code (of a signal, its negative number) and texts."""

    def __init__(self, code, out, err):
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self):
        return f"exit code {self.code}\n{self.out}\n--- stderr ---\n{self.err}"


def environment(**more):
    """That of the tests without what the user's shell says about servers and terminals."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith("TALLY_") and name not in ("COLUMNS", "NO_COLOR", "TMPDIR")}
    return {**kept, "LC_ALL": "C.UTF-8", **more}


def start(*arguments, env=None, **options):
    """The program, started, with its output in pipes."""
    return subprocess.Popen([PROGRAM, *map(str, arguments)], stdin=subprocess.DEVNULL,
                            stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE,
                            text=True, env=environment(**(env or {})), **options)


def finish(process):
    """Waits for its end."""
    out, err = process.communicate(timeout=SECONDS)
    if tallyd.FINDINGS.search(err):
        raise AssertionError("a sanitizer or an assertion complained:\n" + err)
    return Result(process.returncode, out or "", err)


def run(*arguments, env=None, **options):
    return finish(start(*arguments, env=env, **options))


def close_early(process, lines=1):
    """Reads so many lines of its output, closes it, and waits for the end."""
    read = [process.stdout.readline() for _ in range(lines)]
    process.stdout.close()
    process.stdout = None
    return read, finish(process)


def main():
    if not os.access(PROGRAM, os.X_OK):
        sys.exit("TALLY must be the path of the tally that is to be tested")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tallyd.main()

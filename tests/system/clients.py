"""Runs the programs of tests/clients: clients that other projects publish, told what to send by
JSON lines and answering with JSON lines. `npm ci` in that folder installs what they need;
tools/test does it.

Environment, set by CMake:
  NODE   path of node (default: node)
"""

import json
import os
import subprocess
import sys

NODE = os.environ.get("NODE", "node")
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "clients")
CLIENT_SECONDS = 60


def require():
    """Ends the test program with a clear message when the clients are not installed."""
    if not os.path.exists(os.path.join(FOLDER, "node_modules")):
        sys.exit("the clients are not installed; tools/test does it, or: npm ci in tests/clients")


def run(program, *arguments, commands=()):
    """What tests/clients/<program> prints for these commands, a value a line."""
    done = subprocess.run([NODE, os.path.join(FOLDER, program), *map(str, arguments)],
                          input="".join(json.dumps(command) + "\n" for command in commands),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
                          timeout=CLIENT_SECONDS, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{program} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]

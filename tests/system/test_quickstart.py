"""The pages of docs/quickstart do what they say: their commands and programs are run as they stand
there, but for the addresses. Needs Debian's python3-fluent-logger, and so Debian's own Python.

Environment, set by CMake, beside that of tallyd.py:
  NODE            node; missing: the programs for it are left out
  TALLY_COMPILER  compiler and flags that build a program with libtally
  TALLY_LIBRARIES flags that link it
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

import clients
import tallyd
from tallyd import Server

PAGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "quickstart")
CUSTOMER = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
WORKFLOW = "0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"
SECONDS = 60


def blocks(page, language):
    """The code blocks of a page in a language."""
    with open(os.path.join(PAGES, page), encoding="utf-8") as file:
        return re.findall(rf"^```{language}\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)


def commands(block):
    """[(command, output)] of a console block: a command goes on while its quotes are open."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], ""])
        elif found[-1][0].count("'") % 2 == 1:
            found[-1][0] += "\n" + line
        else:
            found[-1][1] += line + "\n"
    return found


def run(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          encoding="utf-8", timeout=SECONDS, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Quickstart(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        self.addCleanup(self.server.remove)

    def moved(self, text):
        """The text with the addresses of this server."""
        forward = str(self.server.forward_address[1])
        return text.replace("127.0.0.1:8480", "%s:%d" % self.server.address) \
            .replace("port: 24224", "port: " + forward).replace("port=24224", "port=" + forward)

    def check_usage(self, credits):
        rows = self.server.rows(CUSTOMER, WORKFLOW, "monthly", "2023-01", "2023-01", False)
        self.assertEqual(rows, [{"date": "2023-01", "processed_credits": credits}])

    def check_console(self, page):
        ran = 0
        for block in blocks(page, "console"):
            for command, output in commands(block):
                if command.startswith("curl "):
                    self.assertEqual(run(["bash", "-c", self.moved(command)]).strip(),
                                     output.strip(), command)
                    ran += 1
        self.assertGreater(ran, 0)

    def run_node(self, page):
        for program in blocks(page, "js"):
            run([os.environ["NODE"], "--input-type=module"], input=self.moved(program),
                cwd=clients.FOLDER)

    def test_curl(self):
        self.check_console("curl.md")
        self.check_usage(5)

    @unittest.skipUnless(os.environ.get("NODE"), "no node")
    def test_node(self):
        clients.require()
        self.run_node("node.md")
        self.check_usage(5)  # the program has waited for its acknowledgement

    def test_python(self):
        for program in blocks("python.md", "python"):
            self.assertEqual(run([sys.executable, "-c", self.moved(program)]), "")
        # Nobody waited for an acknowledgement, but a stop waits for what was read; and a new
        # connection is accepted after the first one was read.
        self.server._wait_for(lambda: self.server.metric("tally_events_total", result="accepted"))
        self.check_usage(5)

    @unittest.skipUnless(os.environ.get("NODE"), "no node")
    def test_cloudevents(self):
        clients.require()
        self.check_console("cloudevents.md")
        self.run_node("cloudevents.md")
        self.check_usage(10)

    def test_a_line_of_fluent_bit(self):
        for line in blocks("fluent-bit.md", "json"):
            self.assertEqual(self.server.post(line).json()["accepted"], 1)
        self.check_usage(5)

    def test_c(self):
        directory = tempfile.mkdtemp(prefix="tally-quickstart-")
        self.addCleanup(shutil.rmtree, directory)
        source = os.path.join(directory, "quickstart.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(blocks("c.md", "c")[0])
        run(shlex.split(os.environ["TALLY_COMPILER"]) + [source, "-o", source[:-2]]
            + shlex.split(os.environ["TALLY_LIBRARIES"]))
        output = dict(commands(blocks("c.md", "console")[0]))["./quickstart"]
        self.assertEqual(run([source[:-2]], cwd=directory), output)
        self.assertEqual(run([source[:-2]], cwd=directory).splitlines()[0], "duplicate")


if __name__ == "__main__":
    tallyd.main()

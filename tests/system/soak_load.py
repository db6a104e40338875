"""The producers of the soak test: tests/soak/producer.c, whose head has the commands.

Environment, set by CMake: SOAK_PRODUCER, the path of the program (required).
"""

import json
import os
import queue
import subprocess
import threading

import tallyd

PROGRAM = os.environ.get("SOAK_PRODUCER", "")
REPLY_SECONDS = 180  # longer than the producers wait for a server that hangs
STREAMS = 8


class Producers:
    """The program, running. `on_settled` is called, by another thread, when the backlog of a
    restart is worked off; `problems` gets what it complains about."""

    def __init__(self, reach, problems, on_settled):
        self.problems = problems
        self.on_settled = on_settled
        self.replies = queue.Queue()
        self.process = subprocess.Popen([PROGRAM, str(reach)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, bufsize=1)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            line = line.rstrip("\n")
            if line.startswith("problem "):
                self.problems.append(line)
            elif line == "settled":
                self.on_settled()
            else:
                self.replies.put(line)
        self.replies.put(None)

    def _take(self):
        line = self.replies.get(timeout=REPLY_SECONDS)
        if line is None:
            raise AssertionError(f"the producers have ended: {self.problems}\n"
                                 + self.process.stderr.read())
        return line

    def ask(self, command):
        """One command, one line of answer."""
        self.process.stdin.write(command + "\n")
        return self._take()

    def do(self, command):
        answer = self.ask(command)
        if answer != "ok":
            raise AssertionError(f"{command}: {answer}")

    def ask_lines(self, command):
        """The words of each line, to the end."""
        lines = []
        line = self.ask(command)
        while line != "end":
            lines.append(line.split(" "))
            line = self._take()
        return lines

    def ready(self, server):
        self.do("ready " + " ".join(f"{host}:{port}" for host, port in
                                    (server.address, server.forward_address)))

    def pace(self, rates):
        """Events a second of each stream; None: as many as are taken."""
        self.do("rates " + " ".join(map(str, rates or [0] * STREAMS)))

    def counts(self):
        return json.loads(self.ask("counts"))

    def end(self):
        """Ends the program; what a sanitizer says of it is a problem."""
        if self.process.poll() is None:
            self.process.stdin.write("quit\n")
        try:
            self.process.wait(tallyd.STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.problems.append("the producers did not end")
        self.reader.join()
        complaints = self.process.stderr.read()
        if complaints:
            self.problems.append(complaints)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()

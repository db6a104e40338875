"""Memory and files of a server over time, and whether the memory levels off."""

import os
import statistics
import threading
import time

MIB = 1 << 20
JUDGED_SECONDS = 180  # a shorter life is its warm-up: ids fill their bound, totals wait 40 s
SLACK_SHARE, SLACK_BYTES = 0.03, 8 * MIB


def resident(pid):
    """RssAnon: resident memory that is no mapped file, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)  # a process that ends has no memory any more


def occupied(directory):
    """Bytes that the files below a directory take on the disk."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


class Sampler(threading.Thread):
    """Samples the server of a world every `period` seconds."""

    def __init__(self, world, period):
        super().__init__()
        self.world = world
        self.period = period
        self.lives = {}  # {number of restarts before: [(time, RssAnon)]}
        self.files = []  # [(time, bytes)]
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(self.period):
            life, process = self.world.restarts, self.world.server.process
            try:
                memory = resident(process.pid)
            except (OSError, IndexError):
                continue  # it is being restarted
            if life == self.world.restarts and process.poll() is None:
                self.lives.setdefault(life, []).append((time.monotonic(), memory))
            self.files.append((time.monotonic(), occupied(self.world.server.directory)))

    def stop(self):
        self.ended.set()
        self.join()


def levels(samples):
    """Medians of the thirds of a life's samples, in bytes; None: too few, or too short a life."""
    if len(samples) < 9 or samples[-1][0] - samples[0][0] < JUDGED_SECONDS:
        return None
    third = len(samples) // 3
    values = [value for _, value in samples]
    return [statistics.median(values[i * third:(i + 1) * third]) for i in range(3)]


def growth(samples, of_ids=0):
    """What is wrong with how the memory of one life developed, or None. Its first third is
    warm-up. From the second to the last the median may grow by 3 % or 8 MiB, and by what the
    remembered ids have grown meanwhile, which have a bound of their own. In a last life of six
    minutes at a few 100,000 events/s that is less than half a byte an event, so what is kept of
    each event, or of each hundredth, shows; and what has a bound has met it by then."""
    thirds = levels(samples)
    if thirds is None:
        return None
    allowed = max(SLACK_BYTES, SLACK_SHARE * thirds[1]) + max(0, of_ids)
    if thirds[2] - thirds[1] <= allowed:
        return None
    return ("memory does not level off: its medians in the thirds of the last life are "
            + ", ".join(f"{value / MIB:.1f}" for value in thirds)
            + f" MiB; {allowed / MIB:.1f} MiB more would be allowed from the second to the last")

"""What the soak test prints at its end. Nothing of it is required: checks are in test_soak.py and
soak_memory.py.
"""

import time

import soak_memory
from soak_memory import MIB


def milliseconds(seconds):
    return f"{seconds * 1000:.1f}" if seconds < 10 else f"{seconds * 1000:.0f}"


def quantiles(values):
    """p50, p99, p99.9 and the longest, as text."""
    if not values:
        return "-"
    ordered = sorted(values)
    picked = [ordered[min(len(ordered) - 1, int(share * len(ordered)))]
              for share in (0.5, 0.99, 0.999)] + [ordered[-1]]
    return " / ".join(map(milliseconds, picked))


class Report:
    """Lines: of what happens, printed at once; of what it came to, printed at the end."""

    def __init__(self):
        self.lines = []
        self.start = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.start:7.1f} s  {text}", flush=True)

    def add(self, text):
        self.lines.append(text)

    def print(self):
        print("\n--- soak ---\n" + "\n".join(self.lines), flush=True)


def describe(soak, seconds, done):
    """Adds to the report what `seconds` at the paced rate came to, `done` events being
    acknowledged in them."""
    add, counts = soak.report.add, soak.counted
    add(f"{seconds:.0f} s at {soak.settings.share:.0%} of it: {sum(soak.rates):,.0f} events/s "
        f"were due, {done / seconds:,.0f} acknowledged")
    add(f"events acknowledged: {counts['fresh']:,} at once, {counts['unsure']:,} sent again "
        f"without an answer, {counts['known']:,} again after it, {soak.prober.accepted:,} "
        f"alone; voided {len(soak.voided_ids)}; messages refused {counts['refusals']}, "
        f"connections broken {counts['drops']}")
    add(f"clients that died or stalled: {soak.dying.steps:,}")
    add("\nlatency, ms: p50 / p99 / p99.9 / max; without restarts and their backlog, and with")
    for name, kind in (("http", "batch over HTTP"), ("forward", "Forward chunk")):
        add(f"  {kind:22}" + "   ".join(
            f"{' / '.join(f'{one:.1f}' for one in counts[f'{name}_{when}']['ms']):32}"
            for when in ("calm", "all")) + f" {counts[name + '_all']['count']:,} of them")
    for kind, (calm, every) in sorted(soak.world.latencies.items()):
        add(f"  {kind:22}{quantiles(calm):32}   {quantiles(every):32} {len(every):,}")
    add("\nrestarts: to the end of the process, from its start to ready, from the signal to "
        "the backlog worked off; s")
    for kind, ended, ready, settled in soak.restarts:
        add(f"  {kind}  {ended:.2f}  {ready:.2f}  "
            + ("-" if settled is None else f"{settled:.1f}"))
    for spent, copied in soak.backups:
        add(f"backup: {copied / MIB:,.0f} MiB in {spent:.1f} s")
    describe_memory(soak)


def describe_memory(soak):
    add = soak.report.add
    add("\nmemory (RssAnon, MiB), at the end of the first, the second and the last third of "
        "each life, and its highest")
    for life, samples in sorted(soak.sampler.lives.items()):
        values = [value / MIB for _, value in samples]
        ends = [values[max(0, len(values) * i // 3 - 1)] for i in (1, 2, 3)]
        add(f"  {samples[-1][0] - samples[0][0]:5.0f} s  "
            + "  ".join(f"{value:.1f}" for value in [*ends, max(values)]))
    thirds = soak_memory.levels(soak.last_life())
    add("  medians of the thirds of the last life: " + (
        "too short to be judged" if thirds is None else
        ", ".join(f"{value / MIB:.1f}" for value in thirds)))
    files = soak.sampler.files
    add("files, MiB, in quarters of the time: " + ", ".join(
        f"{files[max(0, len(files) * i // 4 - 1)][1] / MIB:,.0f}" for i in range(5)))

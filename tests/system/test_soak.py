"""A soak: minutes at 70 % of the peak rate, with queries, restarts, clients that stall and die,
voids and backups. No event may be lost or doubled, memory must level off, nothing may hang.

    test_soak.py [--minutes N] [--share S] [--dedup-memory SIZE] [--journal-bytes SIZE] [--shards N]

First the producers (tests/soak) send as fast as they are answered; then each of them sends at its
share of that, on a schedule that does not wait for the server (an open loop), while the other
clients (soak_clients.py) ask, probe and die. In the first 60 % of the time the server is restarted
again and again, by kill -9 and by SIGTERM; the last life is long enough for its memory to be judged
(soak_memory.py). At the end every total, every counter and the files are checked. What is printed
about speed is a report: nothing is required of it.
"""

import argparse
import datetime
import json
import os
import shutil
import sys
import tempfile
import time
import unittest

import soak_clients
import soak_load
import soak_memory
import soak_report
import tallyd
import tool
from soak_memory import MIB
from tallyd import Server, list_target

ID_BYTES = 52  # of memory for an id, at most: what surely is remembered follows from it
ASKERS = 2
DRAIN = "2s"  # a client that stalls in the middle of a request holds up every stop for so long
VOIDED = 16  # events at a time
SUMMED = 20  # series whose totals are summed up from weeks and days, too
SIZES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def size(text):
    return int(text[:-3]) * SIZES[text[-3:]]


def date_of(milliseconds):
    return datetime.datetime.fromtimestamp(int(milliseconds) / 1000, datetime.timezone.utc)


def month_name(milliseconds):
    return f"{date_of(milliseconds):%Y-%m}"


class Soak(unittest.TestCase):
    settings = None

    def setUp(self):
        self.rng = tallyd.make_random()
        self.report = soak_report.Report()
        self.totals = {}  # {(customer, workflow, month): documents}, as acknowledged
        self.voids = {}  # the same, of those voided
        self.voided_ids = set()
        self.restarts = []  # (kind, seconds to the end, seconds to ready, seconds to settled)
        self.backups = []
        self.settled_at = None

    # --- Starting and ending it all ---

    def test_soak(self):
        settings = self.settings
        options = ["--dedup-memory", settings.dedup_memory,
                   "--journal-bytes", settings.journal_bytes, "--drain", DRAIN]
        if settings.shards:
            options += ["--shards", str(settings.shards)]
        with Server(*options) as server:
            self.server = server
            self.world = soak_clients.World(server)
            reach = size(settings.dedup_memory) // ID_BYTES // 4
            self.producers = soak_load.Producers(reach, self.world.problems, self.on_settled)
            self.clients = []
            self.sampler = soak_memory.Sampler(self.world, min(2, settings.minutes * 4))
            self.sampler.start()
            try:
                self.soak(settings.minutes * 60)
            finally:
                self.world.is_ending = True
                for client in self.clients:
                    client.stop()
                self.sampler.stop()
                self.producers.end()
            self.check_files()
            self.report.print()
            self.check_no_problems()

    def soak(self, seconds):
        self.producers.ready(self.server)
        self.producers.do("resume")
        self.start_clients()
        self.measure_peak(min(20, max(2, seconds / 20)))
        paced, before = time.monotonic(), self.producers.counts()
        self.run_agenda(seconds)
        spent, after = time.monotonic() - paced, self.producers.counts()
        self.end_clients()
        self.producers.do("pause")
        self.counted = self.producers.counts()
        self.check_counters()
        self.totals = {(customer, workflow, int(month)): int(documents) for
                       _, customer, workflow, month, documents in
                       self.producers.ask_lines("totals")}
        self.check_totals()
        self.sampler.stop()
        soak_report.describe(self, spent, sum(after["streams"]) - sum(before["streams"]))

    def start_clients(self):
        """Once every workflow has been used, they may count on it."""
        while len(self.world.series) < 1000:
            self.check_no_problems()
            self.world.series = sorted({(words[1], words[2]) for words in
                                        self.producers.ask_lines("totals")})
            time.sleep(0.05)
        self.prober = soak_clients.Prober(self.world, self.rng.getrandbits(64))
        self.dying = soak_clients.Dying(self.world, self.rng.getrandbits(64))
        self.clients = [soak_clients.Asker(self.world, self.rng.getrandbits(64))
                        for _ in range(ASKERS)] + [self.prober, self.dying]
        for client in self.clients:
            client.start()

    def end_clients(self):
        for client in self.clients:
            client.stop()

    def check_no_problems(self):
        self.assertEqual(self.world.problems, [])

    def on_settled(self):
        self.settled_at = time.monotonic()
        self.world.is_disturbed = False

    def sleep_until(self, moment):
        while time.monotonic() < moment:
            self.check_no_problems()
            time.sleep(min(0.2, max(0, moment - time.monotonic())))

    # --- The load ---

    def measure_peak(self, seconds):
        self.sleep_until(time.monotonic() + seconds)  # warm-up
        before, start = self.producers.counts(), time.monotonic()
        self.sleep_until(start + seconds)
        after, spent = self.producers.counts(), time.monotonic() - start
        peak = [(late - early) / spent for late, early in zip(after["streams"], before["streams"])]
        # 0 would be no schedule; where a stream got nothing through it tries from time to time.
        self.rates = [max(1, self.settings.share * one) for one in peak]
        self.report.say(f"peak {sum(peak):,.0f} events/s, from here on {sum(self.rates):,.0f}")
        self.report.add(f"peak rate: {sum(peak):,.0f} events/s, measured for {seconds:.0f} s; "
                        "of each stream: " + ", ".join(f"{one:,.0f}" for one in peak))
        self.producers.pace(self.rates)
        self.world.latencies = {}

    def make_agenda(self, seconds):
        """[(time from now, what to do)]"""
        busy = 0.6 * seconds
        count = max(2, round(busy / 90))
        agenda = [(busy * (i + 0.3 + 0.6 * self.rng.random()) / count,
                   lambda gently=i % 2 == 1: self.restart(gently)) for i in range(count)]
        agenda.append((busy, self.begin_last_life))
        agenda.append((busy + (seconds - busy) / 3, self.begin_judged_part))
        for moment in (0.05, 0.35, 0.65, 0.9) if seconds > 60 else (0.3, 0.8):
            agenda.append((moment * seconds, self.void))
        for moment in (0.25, 0.75) if seconds > 60 else (0.7,):
            agenda.append((moment * seconds, self.backup))
        return sorted(agenda, key=lambda one: one[0])

    def run_agenda(self, seconds):
        start = time.monotonic()
        for moment, action in self.make_agenda(seconds):
            self.sleep_until(start + moment)
            action()
        self.sleep_until(start + seconds)
        self.note_settled()

    # --- What happens meanwhile ---

    def note_settled(self):
        """How long the restart before took until its backlog was worked off."""
        if self.restarts and self.restarts[-1][3] is None and not self.world.is_disturbed:
            self.restarts[-1][3] = self.settled_at - self.restarted_at

    def restart(self, gently):
        self.note_settled()
        self.producers.do("restart")
        self.world.is_disturbed = True
        start = time.monotonic()
        if gently:
            self.server.stop()
        else:
            self.server.kill()
            if tallyd.FINDINGS.search(self.server.log()):
                raise AssertionError(self.server.log())
        self.check_log()
        ended = time.monotonic()
        self.world.restarts += 1
        self.server.start()
        ready = time.monotonic()
        self.restarted_at = start
        self.restarts.append(["SIGTERM" if gently else "SIGKILL", ended - start, ready - ended,
                              None])
        self.producers.ready(self.server)
        self.report.say(f"{self.restarts[-1][0]}: ended after {ended - start:.2f} s, ready "
                        f"{ready - ended:.2f} s after its start")

    def check_log(self):
        for line in self.server.lines:
            if "level=error" in line:
                self.world.problems.append("log: " + line)

    def begin_last_life(self):
        """From here to the end every event is counted on both sides: begins with none under way."""
        self.prober.stop()
        self.producers.do("pause")
        self.metrics = self.server_metrics()
        self.counts = self.producers.counts()
        self.probed = self.prober.accepted, self.prober.duplicates
        self.voided_before = len(self.voided_ids)
        self.prober = self.prober.renew()
        self.clients.append(self.prober)
        self.prober.start()
        self.producers.do("resume")

    def begin_judged_part(self):
        self.ids_bytes = self.server_metrics()["tally_dedup_bytes"]

    def void(self):
        events = {}
        for _, customer, workflow, month, documents, identity in \
                self.producers.ask_lines(f"sample {VOIDED}"):
            if (customer, identity) not in self.voided_ids:
                events.setdefault(customer, []).append((workflow, month, int(documents), identity))
        for customer, ones in events.items():
            self.void_of(customer, ones)
        self.report.say(f"{sum(map(len, events.values()))} events voided")

    def void_of(self, customer, events):
        for workflow, _, documents, _ in events:  # askers may see fewer from now on
            series = customer, workflow
            self.world.voided[series] = self.world.voided.get(series, 0) + documents
        answer, first = self.world.ask("void", "POST", "/v1/events/void", json.dumps(
            {"customer_id": customer, "ids": [one[3] for one in events], "reason": "soak"}))
        result = answer.json()
        if result["rejected"] or result["voided"] + result["already_voided"] != len(events) or \
                first and result["already_voided"]:
            raise AssertionError(f"void of {events}: {answer}")
        for workflow, month, documents, identity in events:
            key = customer, workflow, int(month)
            self.voids[key] = self.voids.get(key, 0) + documents
            self.voided_ids.add((customer, identity))

    def backup(self):
        folder = tempfile.mkdtemp(prefix="tally-soak-")
        try:
            start = time.monotonic()
            result = tool.run("backup", os.path.join(folder, "copy"), "--data",
                              self.server.directory)
            self.assertEqual(result.code, 0, result)
            self.backups.append((time.monotonic() - start, soak_memory.occupied(folder)))
        finally:
            shutil.rmtree(folder)
        self.report.say(f"backup: {self.backups[-1][1] / MIB:.0f} MiB in "
                        f"{self.backups[-1][0]:.1f} s")

    # --- What must be true at the end ---

    def server_metrics(self):
        """Sums over shards: {name or name{result}: number}."""
        self.server._forget_connection()  # it was idle for long
        sums = {}
        for (name, labels), value in self.server.metrics().items():
            labels = dict(labels)
            name += "".join("{" + labels[key] + "}" for key in ("result", "kind") if key in labels)
            if "le" not in labels:
                sums[name] = sums.get(name, 0) + value
        return sums

    def check_counters(self):
        """The server has counted in its last life what its clients have."""
        now = self.server_metrics()
        more = {name: now[name] - self.metrics.get(name, 0) for name in now}
        mine = {name: self.counted[name] - self.counts[name] for name in
                ("fresh", "unsure", "known", "drops")}
        accepted = more["tally_events_total{accepted}"] - (self.prober.accepted - self.probed[0])
        duplicates = (more["tally_events_total{duplicate}"]
                      - (self.prober.duplicates - self.probed[1]))
        self.assertEqual(mine["drops"], 0)
        self.assertEqual(accepted + duplicates, sum(mine.values()))
        self.assertGreaterEqual(accepted, mine["fresh"])
        self.assertGreaterEqual(duplicates, mine["known"])
        self.assertEqual(more["tally_voided_events_total"],
                         len(self.voided_ids) - self.voided_before)
        self.assertEqual(now["tally_series"], len(self.world.series) + 1)
        for name, value in sorted(now.items()):
            if name.startswith("tally_events_total{") and \
                    name[19:-1] not in ("accepted", "duplicate"):
                self.assertEqual(value, 0, name)
        for name in ("tally_commit_failures_total", "tally_forward_dropped_records_total",
                     "tally_damaged_months_total", "tally_damaged_values_total", "tally_failed",
                     "tally_full", "tally_rejects_kept_total", "tally_queue_events",
                     "tally_queue_batches"):
            self.assertEqual(now[name], 0, name)
        self.assertLessEqual(now["tally_dedup_bytes"], size(self.settings.dedup_memory))
        self.ids_growth = now["tally_dedup_bytes"] - self.ids_bytes
        self.report.add(f"last life: {accepted:,.0f} accepted, {duplicates:,.0f} duplicates, as "
                        f"the producers say; ids remembered: {now['tally_dedup_entries']:,.0f} "
                        f"({now['tally_dedup_window_seconds']:.0f} s), forgotten early: "
                        f"{more['tally_dedup_forgotten_total']:,.0f}, commits: "
                        f"{more['tally_commits_total']:,.0f}")

    def months(self):
        return sorted({month for _, _, month in self.totals})

    def expected(self):
        """{(customer, workflow): {month: documents}}"""
        series = {}
        for (customer, workflow, month), documents in self.totals.items():
            voided = self.voids.get((customer, workflow, month), 0)
            series.setdefault((customer, workflow), {})[month_name(month)] = documents - voided
        return series

    def check_totals(self):
        """Every month of every series is exact, no other workflow was used."""
        months, series = self.months(), self.expected()
        first, last = month_name(months[0]), month_name(months[-1])
        self.server._forget_connection()
        for (customer, workflow), wanted in series.items():
            rows = self.server.rows(customer, workflow, "monthly", first, last)
            counted = {row["date"]: soak_clients.whole(row) for row in rows}
            self.assertEqual({month: documents for month, documents in counted.items()
                              if documents != 0 or month in wanted}, wanted, (customer, workflow))
        self.assertEqual(self.voids.keys() - self.totals.keys(), set())
        for customer in sorted({customer for customer, _ in series}):
            answer = self.server.get(list_target(customer, "monthly", f"?start={first}&end={last}"))
            self.assertEqual([one["workflow_id"] for one in answer.json()],
                             sorted(workflow for one, workflow in series if one == customer))
        for one in self.rng.sample(sorted(series), SUMMED):
            self.check_sums(one, sum(series[one].values()), months)
        rows = self.server.rows(*soak_clients.DYING, "monthly", first, last)
        self.assertEqual(sum(soak_clients.whole(row) for row in rows), 0, "messages cut off")
        rows = self.server.rows(*soak_clients.PROBE, "monthly", first, last)
        self.assertEqual(sum(soak_clients.whole(row) for row in rows), self.prober.documents)
        self.report.say(f"the totals of {len(series)} series are exact")

    def check_sums(self, series, documents, months):
        """The sums of weeks and days are that of the months."""
        start, end = date_of(months[0]), date_of(months[-1]) + datetime.timedelta(days=31)
        for frequency, form in (("weekly", "%G-W%V"), ("daily", "%Y-%m-%d")):
            rows = self.server.rows(*series, frequency, f"{start:{form}}", f"{end:{form}}")
            self.assertEqual(sum(map(soak_clients.whole, rows)), documents, (series, frequency))

    def check_files(self):
        """The same from the disk, after a stop and a start, and every value is good."""
        self.check_log()
        self.server.stop()
        self.server.start()
        self.check_totals()
        self.server.stop()
        start = time.monotonic()
        result = tool.run("verify", self.server.directory)
        self.assertEqual(result.code, 0, result)
        self.report.say(f"verified in {time.monotonic() - start:.1f} s")
        complaint = soak_memory.growth(self.last_life(), self.ids_growth)
        if complaint:
            self.world.problems.append(complaint)

    def last_life(self):
        return self.sampler.lives.get(len(self.restarts), [])


class Judgement(unittest.TestCase):
    """What is said about memory is right."""

    def life(self, memory):
        return [(second, memory(second)) for second in range(0, 300, 2)]

    def test_what_meets_its_bound_levels_off(self):
        noise = tallyd.random.Random(1)
        samples = self.life(lambda second: 100 * MIB + min(second, 90) * 4 * MIB
                            + noise.randrange(6 * MIB))
        self.assertIsNotNone(soak_memory.levels(samples))
        self.assertIsNone(soak_memory.growth(samples))

    def test_ids_may_grow_to_their_bound(self):
        samples = self.life(lambda second: 100 * MIB + second * MIB // 5)
        self.assertIsNotNone(soak_memory.growth(samples))
        self.assertIsNone(soak_memory.growth(samples, 40 * MIB))

    def test_what_is_kept_of_every_event_does_not(self):
        """A byte of each of 300,000 events a second."""
        noise = tallyd.random.Random(1)
        samples = self.life(lambda second: 100 * MIB + second * 300000 + noise.randrange(6 * MIB))
        self.assertIn("does not level off", soak_memory.growth(samples))

    def test_a_short_life_is_not_judged(self):
        self.assertIsNone(soak_memory.levels([(second, 2 ** second) for second in range(60)]))


def parse(arguments):
    parser = argparse.ArgumentParser(description="a soak of tallyd")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--share", type=float, default=0.7, help="of the peak rate")
    parser.add_argument("--dedup-memory", default="64MiB")
    parser.add_argument("--journal-bytes", default="512MiB")
    parser.add_argument("--shards", type=int)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    Soak.settings = parse(sys.argv[1:])
    tool.SECONDS = 900  # a copy of gigabytes beside the load
    del sys.argv[1:]
    for program in (tool.PROGRAM, soak_load.PROGRAM):
        if not os.access(program, os.X_OK):
            sys.exit("TALLY and SOAK_PRODUCER must be the paths of the programs")
    tallyd.main()

"""`tally import` when something is killed, lost, refused or busy: every event counts once."""

import re
import signal
import time

import tallyd
from importing import CUSTOMER, WORKFLOW, Gate, Hold, ImportCase, as_csv, as_ndjson, make_events
from tallyd import Server


class Interrupted(ImportCase):
    def test_resume_after_the_tool_was_killed(self):
        events = make_events(3000)
        self.write("a.csv", as_csv(events))
        with Server() as server:
            hold = Hold(10)
            with Gate(server, hold) as gate:
                process = self.start("--batch", "100", "a.csv", server=gate.url)
                hold.wait()
                process.kill()
                self.finish(process)
                hold.released.set()
            result = self.run_import("a.csv", server=self.url(server))
            self.check(result, 0, events=3000)
            self.assertGreaterEqual(result.counts["duplicates"], 500, repr(result))
            self.check_totals(server, events)

    def test_the_server_is_killed_and_comes_back(self):
        events = make_events(3000)
        self.write("a.ndjson", as_ndjson(events))
        with Server() as server:
            for number in range(3):
                hold = Hold(4 + 7 * number)
                with Gate(server, hold) as gate:
                    process = self.start("--batch", "100", "a.ndjson", server=gate.url)
                    hold.wait()
                    server.kill()
                    hold.released.set()  # what was held meets no server
                    server.start()
                    result = self.finish(process)
                self.check(result, 0, events=3000, rejected=0)
                if number == 0:
                    self.assertIn("trying again for up to 60 s", result.err)
                    self.assertIn("takes events again", result.err)
                self.check_totals(server, events)

    def test_answers_that_are_lost(self):
        """The server stores a batch, but the answer does not arrive: stored once, told so."""
        events = make_events(1000)
        self.write("a.csv", as_csv(events))
        with Server() as server:
            lost = set()

            class Lossy(Gate):
                def ask(self, method, path, body, headers):
                    answer = super().ask(method, path, body, headers)
                    with self.lock:
                        if method != "POST" or body in lost:
                            return answer
                        lost.add(body)
                    return None, "", {}

            with Lossy(server) as gate:
                result = self.run_import("--batch", "100", "a.csv", server=gate.url)
            self.check(result, 0, events=1000, accepted=0, duplicates=1000)
            self.assertEqual(len(lost), 10)
            self.check_totals(server, events)

    def test_a_server_that_is_busy_for_a_while(self):
        events = make_events(1000)
        self.write("a.csv", as_csv(events))
        busy = {1: 503, 2: 429, 3: 507, 5: 500, 6: 503, 8: "cut", 9: 504}
        with Server() as server, Gate(server, busy.get) as gate:
            result = self.run_import("--batch", "100", "a.csv", server=gate.url)
            self.check(result, 0, accepted=1000)
            self.assertEqual(gate.posts, 10 + len(busy))
            self.assertRegex(result.err, r"answered \d+ Gate: not now; trying again")
            self.check_totals(server, events)

    def test_patience_has_an_end(self):
        self.write("a.csv", as_csv(make_events(1000)))
        with Server() as server, Gate(server, lambda number: 503) as gate:
            result = self.run_import("--batch", "100", "--parallel", "1", "--retry-for", "0s",
                                     "a.csv", server=gate.url)
            self.check(result, 1, events=0)
            self.assertEqual(gate.posts, 1)
            self.assertIn("answered 503 Gate: not now", result.err)
            self.assertIn("Nothing was counted", result.err)
            result = self.run_import("--batch", "100", "--retry-for", "500ms", "a.csv",
                                     server=gate.url)
            self.check(result, 1, events=0)
            self.assertGreater(gate.posts, 5)
            self.assertIn("given up after", result.err)
            self.check_totals(server, [])

    def test_a_refusal_ends_the_import_and_says_where(self):
        events = make_events(1000)
        self.write("a.csv", as_csv(events))
        with Server() as server:
            with Gate(server, {4: 413}.get) as gate:
                result = self.run_import("--batch", "100", "--parallel", "1", "a.csv",
                                         server=gate.url)
            self.check(result, 1, accepted=300)
            self.assertEqual(gate.posts, 4)
            self.assertIn("answered 413 Gate: not now", result.err)
            self.assertIn("Everything before line 302 of a.csv is counted.", result.err)
            self.assertIn("Run the same command again: ids that were stored count once. "
                          "This server remembers them for 35 d.", result.err)
            result = self.run_import("a.csv", server=self.url(server))
            self.check(result, 0, accepted=700, duplicates=300)
            self.check_totals(server, events)

    def test_no_server(self):
        self.write("a.csv", as_csv(make_events(10)))
        with Server() as server:
            url = self.url(server)
            server.stop()
            result = self.run_import("--retry-for", "0s", "a.csv", server=url)
            self.check(result, 3, events=0)
            self.assertIn("no answer from " + url, result.err)

    def test_something_else_at_that_address(self):
        self.write("a.csv", as_csv(make_events(10)))

        class Other(Gate):
            def ask(self, method, path, body, headers):
                return 200, "<html>", {}

        with Other(None) as gate:
            result = self.run_import("a.csv", server=gate.url)
            self.check(result, 1, events=0)
            self.assertIn("did not answer as a Tally server does", result.err)

    def test_control_c(self):
        events = make_events(3000)
        self.write("a.csv", as_csv(events))
        with Server() as server:
            hold = Hold(10)
            with Gate(server, hold) as gate:
                process = self.start("--batch", "100", "a.csv", server=gate.url)
                hold.wait()
                process.send_signal(signal.SIGINT)
                # Seen once it has stopped to read: what flies is awaited all the same.
                while self.catches_interrupts(process):
                    time.sleep(0.01)
                hold.released.set()
                result = self.finish(process)
            self.assertEqual(result.code, -signal.SIGINT, repr(result))
            self.assertIn("interrupted", result.err)
            self.assertIn("Run the same command again", result.err)
            counted = result.counts["accepted"]
            self.assertTrue(900 <= counted < 3000, repr(result))
            self.assertEqual(result.counts["rejected"], 0)
            rows = server.rows(CUSTOMER, WORKFLOW, "monthly", "2023-01", "2023-01")
            self.assertEqual(rows[0]["num_documents"], counted)
            result = self.run_import("a.csv", server=self.url(server))
            self.check(result, 0, accepted=3000 - counted, duplicates=counted)
            self.check_totals(server, events)

    @staticmethod
    def catches_interrupts(process):
        """Whether SIGINT is caught: the handler, once it ran, puts the default back."""
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            mask = int(re.search(r"SigCgt:\s*([0-9a-f]+)", file.read()).group(1), 16)
        return bool(mask >> (signal.SIGINT - 1) & 1)


if __name__ == "__main__":
    tallyd.main()

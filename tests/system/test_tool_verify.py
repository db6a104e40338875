"""`tally verify` as its users run it: a directory that is well, one with damage, one in use; a file
whose own structure is damaged is a problem that is found, and no crash."""

import ctypes
import ctypes.util
import json
import os
import pathlib
import shutil
import struct
import tempfile
import unittest

import tallyd
import tool
from tallyd import Server

CUSTOMER = "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
WORKFLOW = "0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"
PAGE = 4096
XXHASH = ctypes.util.find_library("xxhash")


def checksum(data, seed=0):
    hash64 = ctypes.CDLL(XXHASH).XXH3_64bits_withSeed
    hash64.restype = ctypes.c_uint64
    return hash64(data, ctypes.c_size_t(len(data)), ctypes.c_uint64(seed))


def record_checksum(name, record):
    return struct.pack("<Q", checksum(record[12:], checksum(record[:4], checksum(name))))


def event(number):
    return {"id": f"event-{number}", "customer_id": CUSTOMER, "workflow_id": WORKFLOW,
            "time": f"2023-01-{1 + number % 28:02}T10:00:00Z", "credits": "0.5", "pages": 3}


class Verify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix="tally-verify-")
        cls.made = os.path.join(cls.root, "made")
        with Server(directory=cls.made) as server:
            for first in range(0, 100, 20):
                answer = server.post([event(i) for i in range(first, first + 20)])
                assert answer.status == 200 and answer.json()["accepted"] == 20, answer
            cls.in_use = tool.run("verify", cls.made)
            server.stop()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    def setUp(self):
        self.directory = os.path.join(self.root, "data")
        shutil.copytree(self.made, self.directory)
        self.file = pathlib.Path(self.directory, "shard-000", "data.mdb")

    def tearDown(self):
        shutil.rmtree(self.directory)

    def flip(self, where, bits=0x20):
        data = bytearray(self.file.read_bytes())
        data[where] ^= bits
        self.file.write_bytes(data)

    def flip_behind(self, text, distance):
        """Wherever these bytes are: older copies of a page may lie in the file, too."""
        data, at = self.file.read_bytes(), -1
        self.assertIn(text, data)
        while (at := data.find(text, at + 1)) >= 0:
            self.flip(at + distance)

    def test_a_directory_that_is_well(self):
        before = self.file.read_bytes()
        done = tool.run("verify", self.directory)
        self.assertEqual(done.code, 0, done.out + done.err)
        self.assertIn("1 series, 28 days, 1 months", done.out)
        self.assertIn("with 100 events", done.out)
        self.assertIn("No problems found.", done.out)
        self.assertEqual(self.file.read_bytes(), before, "nothing may be changed")

    def test_a_shard_that_never_got_an_event(self):
        directory = os.path.join(self.root, "shards")
        with Server("--shards", "3", directory=directory) as server:
            self.assertEqual(server.post([event(1)]).json()["accepted"], 1)
            server.stop()
        done = tool.run("verify", directory)
        self.assertEqual(done.code, 0, done.out + done.err)
        self.assertIn("No problems found.", done.out)

    def test_what_an_interrupted_creation_left(self):
        """Three shards were wanted, and the first, which comes last, was not made; then two."""
        directory = os.path.join(self.root, "leftover")
        with Server("--shards", "3", directory=directory) as server:
            server.stop()
        shutil.rmtree(os.path.join(directory, "shard-000"))
        with Server("--shards", "2", directory=directory) as server:
            self.assertEqual(server.post([event(1)]).json()["accepted"], 1)
            server.stop()
        done = tool.run("verify", directory)
        self.assertEqual(done.code, 0, done.out + done.err)
        self.assertIn("no part of the database: 1, ", done.out)
        used = next(shard for shard in ("shard-000", "shard-001")
                    if b"event-1" in pathlib.Path(directory, shard, "data.mdb").read_bytes())
        shutil.rmtree(os.path.join(directory, "shard-002"))
        shutil.copytree(os.path.join(directory, used), os.path.join(directory, "shard-002"))
        done = tool.run("verify", directory)
        self.assertEqual(done.code, 1, done.out + done.err)
        self.assertIn("shard 2, shard: it is not empty, but the database has 2 shards", done.out)

    def test_as_json(self):
        done = tool.run("verify", self.directory, "--json")
        report = json.loads(done.out)
        self.assertEqual((done.code, report["ok"], report["problems"]), (0, True, []))
        self.assertEqual((report["events"], report["days_exact"]), (100, 28))
        self.assertEqual((report["id_runs"], report["ids_uncompared"], report["ids_repeated"],
                          report["reject_ids_stale"]), (0, 0, 0, 0))

    def test_one_flipped_bit_is_named_with_what_to_do(self):
        self.flip_behind(b"event-50", 0)
        done = tool.run("verify", self.directory)
        self.assertEqual(done.code, 1, done.out + done.err)
        self.assertRegex(done.out, r"shard 0, journal: journal value \d: checksum mismatch")
        self.assertIn("What to do: restore", done.out)

    def test_a_damaged_day_is_named_by_customer_and_date(self):
        # Key: series 0, day, 2023-01-15 = 19372; the value follows it.
        key = bytes([0, 0, 0, 0, 1]) + (19372).to_bytes(4, "big")
        self.flip_behind(key, len(key) + 20)
        done = tool.run("verify", self.directory, "--json")
        report = json.loads(done.out)
        problem = report["problems"][0]
        self.assertEqual(done.code, 1)
        self.assertEqual((problem["check"], problem["customer_id"], problem["workflow_id"],
                          problem["period"]), ("blocks", CUSTOMER, WORKFLOW, "2023-01-15"))

    def test_damage_of_the_files_structure_ends_no_more_than_the_check(self):
        data = self.file.read_bytes()
        ends = []
        pages = len(data) // PAGE
        for page in range(2, pages, max(1, pages // 10)):
            for offset in (10, 12, 14, 16):  # flags, the bounds of free space, the first node
                self.flip(page * PAGE + offset, 0xff)
                done = tool.run("verify", self.directory, "--quiet")
                self.assertIn(done.code, (0, 1), f"page {page}, {offset}: {done.out}{done.err}")
                self.assertNotIn("Sanitizer", done.err)
                ends.append(done.code)
                self.file.write_bytes(data)
        self.assertIn(1, ends)

    def test_a_directory_in_use_is_refused_clearly(self):
        self.assertEqual(self.in_use.code, 3)
        self.assertIn("is in use by process", self.in_use.err)
        self.assertIn("tally backup", self.in_use.err)

    @unittest.skipUnless(XXHASH, "needs libxxhash")
    def test_what_a_newer_version_wrote_is_no_damage(self):
        """As its first commit leaves it: the state is of its format."""
        data, at, states = bytearray(self.file.read_bytes()), -1, 0
        while (at := data.find(b"state", at + 1)) >= 0:
            record = data[at + 5:at + 5 + 44]
            if bytes(record[4:12]) == record_checksum(b"state", bytes(record)):
                record[0] += 1
                record[4:12] = record_checksum(b"state", bytes(record))
                data[at + 5:at + 5 + 44] = record
                states += 1
        self.assertGreater(states, 0)
        self.file.write_bytes(data)
        done = tool.run("verify", self.directory)
        self.assertEqual(done.code, 3, done.out + done.err)
        self.assertIn("a newer version of Tally wrote the data", done.err)
        self.assertNotIn("restore", done.out)

    def test_no_database(self):
        done = tool.run("verify", os.path.join(self.root, "none"))
        self.assertEqual(done.code, 3)
        self.assertIn("holds no database", done.err)
        self.assertFalse(os.path.exists(os.path.join(self.root, "none")))

    def test_a_shard_that_is_missing(self):
        self.file.unlink()
        self.assertEqual(tool.run("verify", self.directory).code, 3)

    def test_wrong_usage(self):
        self.assertEqual(tool.run("verify").code, 2)
        self.assertEqual(tool.run("verify", "a", "b").code, 2)


if __name__ == "__main__":
    tool.main()

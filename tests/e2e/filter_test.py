"""filter_test.py - sluice filter and sluice check from the shell: files in, verdicts out.

The program is found by the environment variable SLUICE; default build/dev/sluice.
"""
import gzip
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLUICE = os.path.abspath(os.environ.get("SLUICE", ROOT / "build/dev/sluice"))
WORDS = "river stone light paper garden window silver morning copper winter harbour letter".split()


def text(seed, n=80):
    random_words = random.Random(seed)
    return " ".join(random_words.choice(WORDS) + str(random_words.randrange(50)) for _ in range(n))


def varint(value):
    out = bytearray()
    while True:
        out.append((value & 0x7F) | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(out)


def field(number, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(number << 3 | 2) + varint(len(data)) + data


def sample(id_, payload, source="s"):
    return field(1, id_) + field(2, source) + field(4, payload)


def delimited(*messages):
    return b"".join(varint(len(m)) + m for m in messages)


def lines(data):
    return [json.loads(line) for line in data.decode().split("\n") if line]


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def sluice(self, *args, stdin=b"", code=0):
        done = subprocess.run([SLUICE, *map(str, args)], input=stdin, capture_output=True,
                              timeout=120, cwd=self.dir)
        self.assertEqual(done.returncode, code, done.stderr.decode(errors="replace"))
        return done

    def filter(self, data, *args, code=0):
        """Verdict records, summary and messages of one pass over `data` as standard input."""
        done = self.sluice("filter", "--json", "--verdicts", "v.jsonl", "-o", "out.jsonl", *args,
                           stdin=data, code=code)
        self.err = done.stderr.decode()
        self.summary = json.loads(done.stdout) if done.stdout else None
        self.out = (self.dir / "out.jsonl").read_bytes()
        return lines((self.dir / "v.jsonl").read_bytes())

    def jsonl(self, *objects):
        return b"".join(json.dumps(o).encode() + b"\n" for o in objects)


class Jsonl(Case):
    def test_duplicates_are_dropped_and_named(self):
        a, b = text(1), text(2)
        near = a.replace("1 ", "1, ", 1)
        records = self.filter(self.jsonl(
            {"id": "a", "source": "x", "text": a}, {"id": "b", "source": "y", "text": b},
            {"id": "c", "source": "y", "text": a}, {"id": "d", "source": "y", "text": near}))
        self.assertEqual([r["decision"] for r in records], ["keep", "keep", "drop", "drop"])
        self.assertEqual([r["offset"] for r in records], [0, 1, 2, 3])
        self.assertEqual(records[2]["duplicate"],
                         {"of": "a", "of_source": "x", "similarity": 1.0, "method": "exact"})
        self.assertEqual(records[2]["reasons"], ["duplicate"])
        self.assertEqual(records[3]["duplicate"]["of"], "a")
        self.assertIsNone(records[0]["duplicate"])
        self.assertEqual([o["id"] for o in lines(self.out)], ["a", "b"])

    def test_output_is_the_line_as_it_came_with_one_more_member(self):
        line = b' {"id":"a",  "text" : "\\u00e9 1", "n": 2.50, "deep": {"x": [1, "}"]} } \r\n'
        records = self.filter(line)
        self.assertTrue(self.out.startswith(b' {"id":"a",  "text" : "\\u00e9 1", "n": 2.50, '
                                            b'"deep": {"x": [1, "}"]} , "sluice": {'), self.out)
        self.assertTrue(self.out.endswith(b'}} \r\n'), self.out)
        self.assertEqual(json.loads(self.out)["sluice"], records[0])
        self.filter(line, "--bare")
        self.assertEqual(self.out, line)

    def test_second_pass_replaces_the_verdict(self):
        data = self.jsonl({"text": text(1), "id": "a", "x": 1})
        self.filter(data)
        once = self.out
        self.filter(once)
        self.assertEqual(self.out, once)
        first = b'{"sluice": {"a": "}"}, "id": "a", "text": "t"}\n'
        self.filter(first)
        self.assertEqual(json.loads(self.out)["id"], "a")
        self.assertEqual(self.out.count(b"sluice"), 1)

    def test_lines_end_at_newline_only_and_the_last_needs_none(self):
        data = '{"id":"a","text":"one\u2028two\u0085three"}\n\n  \n{"id":"b","text":"four"}'.encode()
        records = self.filter(data)
        self.assertEqual([r["id"] for r in records], ["a", "b"])

    def test_id_is_file_and_line_by_default(self):
        (self.dir / "in.jsonl").write_bytes(b'{"text":"one"}\n\n{"text":"two","id":7}\n'
                                            b'{"text":"three","id":null}\n')
        records = self.filter(b"", "in.jsonl")
        self.assertEqual([r["id"] for r in records], ["in.jsonl:1", "7", "in.jsonl:4"])
        self.assertEqual(self.filter(b'{"text":"one"}\n')[0]["id"], "-:1")

    def test_redelivered_gets_the_first_verdict_again_and_no_output(self):
        a = {"id": "a", "source": "x", "text": text(1)}
        records = self.filter(self.jsonl(a, {"id": "b", "text": text(2)}, a))
        self.assertEqual(records[2], records[0])
        self.assertEqual(self.summary["redelivered"], 1)
        self.assertEqual(len(lines(self.out)), 2)

    def test_summary_adds_up(self):
        data = self.jsonl(*({"id": str(i), "source": f"s{i % 3}", "text": text(i % 70)}
                            for i in range(700))) + b"garbage\n"
        self.filter(data)
        s = self.summary
        self.assertEqual(s["received"], 701)
        self.assertEqual(s["received"], s["kept"] + s["flagged"] + s["dropped"] + s["refused"]
                         + s["redelivered"])
        self.assertEqual(s["refused"], 1)
        self.assertEqual(s["kept"], 70)
        self.assertEqual(sum(s["duplicates"].values()), s["dropped"])
        self.assertEqual(sum(x["kept"] for x in s["sources"]), s["kept"])

    def test_ageing_goes_by_recorded_time(self):
        rows = [{"id": "a", "text": text(1), "ts": "2024-01-01T00:00:00Z"},
                {"id": "b", "text": text(1), "ts": "2024-01-01T01:00:00+00:30"},
                {"id": "c", "text": text(1), "ts": "2024-01-01T02:00:00Z"},
                {"id": "d", "text": text(1), "ts": "26-FEB-1987 15:01:01.79"}]
        records = self.filter(self.jsonl(*rows), "--set", "duplicate.window.age=1h")
        self.assertEqual([r["decision"] for r in records[:3]], ["keep", "drop", "keep"])
        self.assertEqual(records[3]["decision"], "keep")  # no time: now

    def test_verdicts_do_not_depend_on_where_batches_end(self):
        data = self.jsonl(*({"id": str(i), "text": text(i % 50)} for i in range(1000)))
        whole = self.filter(data)
        self.assertEqual(len(whole), 1000)
        child = subprocess.Popen([SLUICE, "filter", "--verdicts", "-"], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=self.dir)
        def feed():
            for at in range(0, len(data), 9973):
                child.stdin.write(data[at:at + 9973])
                child.stdin.flush()
            child.stdin.close()
        feeder = threading.Thread(target=feed)
        feeder.start()
        pieces = child.stdout.read()
        feeder.join()
        child.stdout.close()
        self.assertEqual(child.wait(), 0)
        self.assertEqual(lines(pieces), whole)

    def test_a_slow_pipe_gets_its_verdict_at_once(self):
        child = subprocess.Popen([SLUICE, "filter", "-o", "-"], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=self.dir)
        for i in range(3):
            child.stdin.write(self.jsonl({"id": str(i), "text": text(i)}))
            child.stdin.flush()
            self.assertEqual(json.loads(child.stdout.readline())["id"], str(i))
        child.stdin.close()
        child.stdout.close()
        self.assertEqual(child.wait(), 0)


class BadLines(Case):
    def refused(self, line, reason, says):
        good = self.jsonl({"id": "z", "text": text(9)})
        records = self.filter(good + line + b"\n" + self.jsonl({"id": "y", "text": text(8)}))
        self.assertEqual([r["decision"] for r in records], ["keep", "refuse", "keep"])
        self.assertEqual(records[1]["reasons"], [reason])
        self.assertEqual((records[1]["offset"], records[1]["duplicate"], records[1]["influence"]),
                         (None, None, None))
        self.assertEqual(records[2]["offset"], 1)
        self.assertIn("-:2: refused", self.err)
        self.assertIn(says, self.err)
        self.assertEqual(len(lines(self.out)), 2)
        return records[1]

    def test_wrong_types_name_the_member(self):
        self.refused(b'{"id":"q","text":5}', "wrong_type", 'member "text" is a number')
        record = self.refused(b'{"text":["a"],"source":"s","id":"q"}', "wrong_type",
                              'member "text" is a list')
        self.assertEqual((record["id"], record["source"]), ("q", "s"))
        record = self.refused(b'{"id":["a"],"text":"t"}', "wrong_type", 'member "id" is a list')
        self.assertEqual(record["id"], "-:2")
        self.refused(b'{"id":true,"text":"t"}', "wrong_type", 'member "id" is a boolean')
        self.refused(b'{"source":{},"text":"t"}', "wrong_type", 'member "source" is an object')
        self.refused(b'{"ts":[],"text":"t"}', "wrong_type", 'member "ts"')
        self.refused(b'{"cost":"1","text":"t"}', "wrong_type", 'member "cost" is a text')
        self.refused(b'{"encoder":1,"text":"t"}', "wrong_type", 'member "encoder" is a number')

    def test_what_is_no_sample_is_refused(self):
        self.refused(b"garbage", "not_json", "")
        self.refused(b'{"text":"t"', "not_json", "")
        self.refused(b'{"text":"t"} x', "not_json", "")
        self.refused(b'[1]', "not_an_object", "a list; expected an object")
        self.refused(b'"x"', "not_an_object", "a text")
        self.refused(b'{"id":"a"}', "text_missing", "text")
        self.refused(b'{"id":"a","text":"t","id":"b"}', "duplicate_member", '"id"')
        self.refused(b'{"id":"a","text":"\xff"}', "not_utf8", 'member "text"')
        self.refused(b'{"text":"t","x":"\\ud800"}', "not_json", 'member "x"')
        self.refused(b'{"id":"a\\u0000","text":"t"}', "id_has_nul", "id")
        self.refused(b'{"id":"a","x":"b\\u0000","text":"t"}', "attribute_has_nul", "attribute")
        self.refused(b'{"id":"a","image":"x.jpg"}', "image_missing", "x.jpg: No such file")
        self.refused(b"[" * 100000, "not_json", "")
        self.refused(b'{"text":"t","x":1e999}', "not_json", 'member "x"')
        self.refused(b"\x00\x01\x02", "not_json", "")

    def test_limits_and_one_beyond(self):
        for size, decision in ((256, "keep"), (257, "refuse")):
            record = self.filter(self.jsonl({"id": "i" * size, "text": "t"}))[0]
            self.assertEqual(record["decision"], decision)
        for n, decision in ((64, "keep"), (65, "refuse")):
            row = {"text": "t", **{f"a{i}": i for i in range(n)}}
            self.assertEqual(self.filter(self.jsonl(row))[0]["decision"], decision)
        for size, decision in ((1 << 20, "keep"), ((1 << 20) + 1, "refuse"), (5 << 20, "refuse")):
            record = self.filter(self.jsonl({"id": "a", "text": "t" * size}))[0]
            self.assertEqual(record["decision"], decision)
        self.assertEqual(record["reasons"], ["text_too_large"])
        record = self.filter(self.jsonl({"id": "a", "text": "t", "x": "y" * (5 << 20)}))[0]
        self.assertEqual(record["reasons"], ["sample_too_large"])

    def test_empty_text_is_a_sample(self):
        self.assertEqual(self.filter(self.jsonl({"id": "a", "text": ""}))[0]["decision"], "keep")

    def test_a_line_beyond_64_mib_is_skipped_to_its_end(self):
        huge = b'{"text": "' + b"x" * (256 << 20) + b'"}\n'
        good = self.jsonl({"id": "z", "text": "t"})
        records = self.filter(good + huge + good.replace(b"z", b"y").replace(b't"}', b'u"}'))
        self.assertEqual([r["decision"] for r in records], ["keep", "refuse", "keep"])
        self.assertEqual(records[1]["reasons"], ["line_too_long"])
        self.assertEqual(records[1]["id"], "-:2")

    def test_many_refusals_are_all_recorded_but_not_all_said(self):
        records = self.filter(b"no\n" * 1000)
        self.assertEqual(len(records), 1000)
        self.assertEqual(self.err.count("refused,"), 20)


class Packed(Case):
    def rows(self, n=2000):
        return self.jsonl(*({"id": str(i), "text": text(i, 40)} for i in range(n)))

    def test_gzip_and_zstd_by_name_and_by_magic(self):
        data = self.rows(50)
        (self.dir / "a.jsonl").write_bytes(data)
        (self.dir / "a.jsonl.gz").write_bytes(gzip.compress(data[:1000]) + gzip.compress(data[1000:]))
        subprocess.run(["zstd", "-q", self.dir / "a.jsonl"], check=True)
        plain = self.filter(b"", "a.jsonl")
        self.assertEqual(self.filter(b"", "a.jsonl.gz"), plain)
        self.assertEqual(self.filter(b"", "a.jsonl.zst"), plain)
        self.assertEqual(self.filter(gzip.compress(data)), plain)
        self.assertEqual(self.filter((self.dir / "a.jsonl.zst").read_bytes()), plain)

    def test_output_is_compressed_by_name(self):
        data = self.rows(50)
        self.sluice("filter", "--bare", "-o", "o.gz", "--verdicts", "v.zst", stdin=data)
        self.assertEqual(gzip.decompress((self.dir / "o.gz").read_bytes()), data)
        verdicts = subprocess.run(["zstd", "-dcq", self.dir / "v.zst"], check=True,
                                  capture_output=True).stdout
        self.assertEqual(len(lines(verdicts)), 50)

    def check_broken(self, name, packed):
        (self.dir / name).write_bytes(packed)
        records = self.filter(b"", name, code=1)
        self.assertIn(f"{name}: broken at byte ", self.err)
        self.assertGreater(len(records), 100)
        self.assertEqual([r["id"] for r in records], [str(i) for i in range(len(records))])
        self.assertEqual(len(lines(self.out)), len(records))
        self.assertEqual(self.summary["received"], len(records))

    def test_broken_in_the_middle_keeps_what_came_before(self):
        data = self.rows(4000)
        (self.dir / "a.jsonl").write_bytes(data)
        subprocess.run(["zstd", "-q", "-1", self.dir / "a.jsonl"], check=True)
        zst = (self.dir / "a.jsonl.zst").read_bytes()
        gz = gzip.compress(data)
        for suffix, packed in ((".zst", zst), (".gz", gz)):
            middle = len(packed) // 2
            self.check_broken("cut.jsonl" + suffix, packed[:middle])
            garbage = packed[:middle] + bytes(64) + b"\xff" * 4000 + packed[middle + 4064:]
            self.check_broken("bad.jsonl" + suffix, garbage)

    def test_a_name_that_promises_what_the_bytes_are_not(self):
        (self.dir / "a.jsonl.gz").write_bytes(self.rows(3))
        done = self.sluice("filter", "a.jsonl.gz", code=1)
        self.assertIn(b"a.jsonl.gz: is not gzip", done.stderr)


class Protobuf(Case):
    def test_samples_in_annotated_samples_out(self):
        rows = [sample("a", text(1)), sample("b", text(2)) + field(200, "future"),
                sample("c", text(1)), b"\xff\xff\xff"]
        (self.dir / "in.pb").write_bytes(delimited(*rows))
        records = self.filter(b"", "in.pb")
        self.assertEqual([r["decision"] for r in records], ["keep", "keep", "drop", "refuse"])
        self.assertIn("in.pb:4: refused", self.err)
        size = self.out[0] | 0
        self.assertIn(rows[0], self.out)
        self.assertIn(rows[1] + b"\x7a", self.out)  # field 15: the annotation
        self.assertNotIn(rows[2], self.out)
        self.assertGreater(size, 0)
        self.filter(b"", "--bare", "in.pb")
        self.assertEqual(self.out, delimited(rows[0], rows[1]))
        self.assertEqual(self.filter(delimited(*rows[:3]), "--format", "pb"), records[:3])

    def test_same_verdicts_as_jsonl(self):
        texts = [text(i % 20) for i in range(100)]
        as_json = self.jsonl(*({"id": str(i), "source": "s", "text": t}
                               for i, t in enumerate(texts)))
        as_pb = delimited(*(sample(str(i), t) for i, t in enumerate(texts)))
        records = self.filter(as_json)
        self.assertEqual(self.filter(as_pb, "--format", "pb"), records)

    def test_cut_and_garbage_frames_say_where(self):
        whole = delimited(sample("a", "one"), sample("b", "two"))
        for cut, says in ((whole[:-1], "message 2"), (whole + b"\x80", "message 3"),
                          (whole + b"\xff" * 12, "message 3")):
            (self.dir / "in.pb").write_bytes(cut)
            records = self.filter(b"", "in.pb", code=1)
            self.assertIn(says, self.err)
            self.assertGreaterEqual(len(records), 1)

    def test_a_message_beyond_the_limit_is_skipped(self):
        for size, reason in ((5 << 20, "text_too_large"), (33 << 20, "sample_too_large")):
            big = sample("big", b"x" * size)
            records = self.filter(delimited(sample("a", "one"), big, sample("c", "two")),
                                  "--format", "pb")
            self.assertEqual([r["decision"] for r in records], ["keep", "refuse", "keep"])
            self.assertEqual(records[1]["reasons"], [reason])


class Files(Case):
    def test_several_files_are_one_stream(self):
        (self.dir / "a.jsonl").write_bytes(self.jsonl({"text": text(1)}))
        (self.dir / "b.jsonl").write_bytes(self.jsonl({"text": text(1)}, {"text": text(2)}))
        records = self.filter(b"", "a.jsonl", "b.jsonl")
        self.assertEqual([r["decision"] for r in records], ["keep", "drop", "keep"])
        self.assertEqual(records[1]["duplicate"]["of"], "a.jsonl:1")

    def test_dash_is_standard_input_alone_and_beside_files(self):
        (self.dir / "a.jsonl").write_bytes(self.jsonl({"text": text(1)}))
        data = self.jsonl({"text": text(1)}, {"text": text(2)})
        out = lines(self.sluice("filter", "-", stdin=data).stdout)  # and standard output
        self.assertEqual([r["sluice"]["id"] for r in out], ["-:1", "-:2"])
        records = lines(self.sluice("filter", "--verdicts", "-", "a.jsonl", "-", stdin=data).stdout)
        self.assertEqual([r["decision"] for r in records], ["keep", "drop", "keep"])
        self.sluice("filter", "-o", "-", "--verdicts", "-", stdin=data, code=64)

    def test_a_pass_that_lost_its_output_is_made_whole_by_the_same_command(self):
        data = self.jsonl({"id": "a", "text": text(1)}, {"id": "b", "text": text(1)},
                          {"id": "c", "text": text(2)}, {"id": "c", "text": text(2)})
        done = self.sluice("filter", "--state", "st", "-o", "/dev/full", stdin=data, code=1)
        self.assertIn(b"No space left", done.stderr)
        records = self.filter(data, "--state", "st")
        self.assertEqual([r["decision"] for r in records], ["keep", "drop", "keep", "keep"])
        self.assertEqual([r["id"] for r in lines(self.out)], ["a", "c", "c"])
        self.filter(self.jsonl({"id": "d", "text": text(3)}, {"id": "d", "text": text(3)}),
                    "--state", "st")
        self.assertEqual([r["id"] for r in lines(self.out)], ["d"])  # again in one pass

    def test_unusable_inputs_are_named_before_anything_is_read(self):
        (self.dir / "a.jsonl").write_bytes(b"")
        (self.dir / "a.pb").write_bytes(b"")
        (self.dir / "a.tar").write_bytes(b"")
        (self.dir / "a.txt").write_bytes(b"")
        (self.dir / "photos").mkdir()
        for args, code, says in ((["none.jsonl"], 1, "none.jsonl: No such file"),
                                 (["a.jsonl", "a.pb"], 64, "two formats"),
                                 (["photos", "a.jsonl"], 64, "two formats"),
                                 (["--format", "jsonl", "photos"], 64, "leave --format away"),
                                 (["--format", "images", "a.jsonl"], 64, "neither a folder nor a .tar"),
                                 (["a.txt"], 64, "--format jsonl"),
                                 (["--views", "v.npy", "a.jsonl"], 1, "v.npy"),
                                 (["--format", "csv"], 64, "not csv"), (["--frobnicate"], 64, "unknown"),
                                 (["-o"], 64, "missing"),
                                 (["-o", "a.jsonl", "a.jsonl"], 64, "cannot be written too"),
                                 (["-o", "-", "--verdicts", "-"], 64, "cannot both go")):
            done = self.sluice("filter", *args, code=code)
            self.assertIn(says, done.stderr.decode())

    def test_configuration_errors_are_said_and_end_with_78(self):
        (self.dir / "c.yaml").write_text("sede: 1\nworkers: 0\n")
        done = self.sluice("filter", "-c", "c.yaml", "--set", "spool.sync=never", code=78)
        self.assertIn("c.yaml:1:1: sede: unknown key; did you mean seed?", done.stderr.decode())
        self.assertIn("c.yaml:2:10: workers:", done.stderr.decode())
        self.assertIn("--set spool.sync=never: spool.sync:", done.stderr.decode())

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full here")
    def test_full_disk_is_an_error(self):
        for args in (["-o", "/dev/full"], ["-o", "x", "--verdicts", "/dev/full"]):
            done = self.sluice("filter", *args, stdin=self.jsonl({"text": "t"}), code=1)
            self.assertIn("/dev/full: No space left", done.stderr.decode())

    def test_closed_pipe_is_an_error_and_no_signal(self):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([SLUICE, "filter"], input=self.jsonl({"text": "t"}), stdout=write,
                              stderr=subprocess.PIPE, timeout=60)
        os.close(write)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output: Broken pipe", done.stderr)

    def test_nothing_in_nothing_out(self):
        self.assertEqual(self.filter(b""), [])
        self.assertEqual(self.summary["received"], 0)

    def test_samples_go_to_standard_output_and_the_summary_beside(self):
        done = self.sluice("filter", "--json", stdin=self.jsonl({"id": "a", "text": "t"}))
        self.assertEqual(lines(done.stdout)[0]["sluice"]["decision"], "keep")
        self.assertEqual(json.loads(done.stderr)["kept"], 1)
        done = self.sluice("filter", stdin=self.jsonl({"id": "a", "text": "t"}))
        self.assertIn("1 samples", done.stderr.decode())


class Verdicts(Case):
    def test_every_verb_reads_the_verdicts_as_they_were_written(self):
        """Compressed by name; and the record of a sample that was refused for the NUL in its id."""
        data = self.jsonl({"id": "a", "text": text(1)}, {"id": "a\0b", "text": text(2)}, {"id": "b", "text": text(1)})
        for name in ("v.jsonl", "v.jsonl.gz", "v.jsonl.zst"):
            self.sluice("filter", "--verdicts", name, "-o", "out.jsonl", stdin=data)
            said = self.sluice("explain", "a", "--verdicts", name).stdout.decode()
            self.assertEqual([line for line in said.splitlines() if line.startswith("'")], ["'a' (source '') was kept"])
            total = json.loads(self.sluice("report", "--json", "--verdicts", name).stdout)["portfolio"]["total"]
            self.assertEqual((total["kept"], total["dropped"]), (1, 1))
            told = json.loads(self.sluice("check", "--json", "--replay", name).stdout)
            self.assertEqual((told["samples"], told["refused"], told["changed"]), (2, 1, 0))
        cut = (self.dir / "v.jsonl.gz").read_bytes()[:-12]
        (self.dir / "cut.gz").write_bytes(cut)
        for words in (("explain", "a", "--verdicts"), ("report", "--json", "--verdicts"), ("check", "--replay")):
            self.assertIn(b"cut.gz", self.sluice(*words, "cut.gz", code=1).stderr)

    def test_a_report_goes_to_standard_output(self):
        self.sluice("filter", "--verdicts", "v.jsonl", "-o", "out.jsonl", stdin=self.jsonl({"text": text(1)}))
        self.assertIn(b"</html>", self.sluice("report", "--verdicts", "v.jsonl", "-o", "-").stdout)
        self.assertFalse((self.dir / "-").exists())
        self.sluice("report", "--verdicts", "v.jsonl", "-o", "-", "--json", code=64)


class Check(Case):
    def test_three_errors_at_once_with_their_places(self):
        (self.dir / "c.yaml").write_text("seed: x\nduplicate:\n  text: {memroy: 1GiB}\n"
                                         "spool:\n  max_bytes: 5 parsecs\n")
        done = self.sluice("check", "-c", "c.yaml", code=78)
        err = done.stderr.decode().splitlines()
        self.assertEqual([line.split(": ")[0] for line in err],
                         ["c.yaml:1:7", "c.yaml:3:10", "c.yaml:5:14"])
        found = json.loads(self.sluice("check", "-c", "c.yaml", "--json", code=78).stdout)
        self.assertEqual([(e["line"], e["column"]) for e in found["errors"]],
                         [(1, 7), (3, 10), (5, 14)])
        self.assertFalse(found["good"])

    def test_good_configuration_says_what_it_buys(self):
        out = self.sluice("check").stdout.decode()
        self.assertIn("The configuration is good.", out)
        small = json.loads(self.sluice("check", "--json", "--set",
                                       "duplicate.text.memory=64MiB").stdout)
        large = json.loads(self.sluice("check", "--json").stdout)
        self.assertTrue(large["good"])
        self.assertGreater(large["text"]["rows"], 4 * small["text"]["rows"])
        self.assertGreater(large["restart_seconds"], 0)
        methods = ("exact", "text", "image", "embedding")
        self.assertEqual(large["memory"], sum(large[method]["memory"] for method in methods))
        for method in methods:
            self.assertIn(method, out)
            by_id = large[method]["rows_by_id_bytes"]
            self.assertTrue(by_id["16"] > by_id["32"] > by_id["64"] > 0)
            self.assertEqual(by_id["32"], large[method]["rows"])

    def test_listeners_beyond_loopback_need_keys_or_a_word(self):
        done = self.sluice("check", "--set", "listen.ingest=tcp://*:5570", code=78)
        self.assertIn(b"listen.ingest", done.stderr)
        done = self.sluice("check", "--set", "listen.ingest=tcp://*:5570", "--set",
                           "security.insecure=true")
        self.assertIn(b"warning: listen.ingest", done.stdout)
        done = self.sluice("check", "--set", "listen.pull=tcp://127.0.0.1:1")
        self.assertIn(b"warning: listen.pull", done.stdout)

    def test_print_defaults_is_the_shipped_file_and_reads_back(self):
        printed = self.sluice("check", "--print-defaults").stdout
        self.assertEqual(printed, (ROOT / "deploy/sluice.yaml").read_bytes())
        self.sluice("check", "-c", ROOT / "deploy/sluice.yaml")
        self.sluice("check", "-c", "-", stdin=printed)

    def test_unreadable_files_are_refused(self):
        self.assertIn(b"cannot open v", self.sluice("check", "--replay", "v", code=1).stderr)
        self.assertIn(b"none.yaml: cannot read it", self.sluice("check", "-c", "none.yaml",
                                                                code=78).stderr)


class Verbs(Case):
    def test_verbs_help_version_and_slips(self):
        self.assertIn(b"filter", self.sluice("--help").stdout)
        self.assertRegex(self.sluice("version").stdout.decode(), r"^sluice \d+\.\d+\.\d+\n$")
        self.assertIn(b"did you mean filter?", self.sluice("fliter", code=64).stderr)
        self.assertIn(b"unknown verb", self.sluice("xyzzy", code=64).stderr)
        self.assertIn(b"usage", self.sluice(code=64).stderr)
        for verb in ("filter", "check"):
            for words in ((verb, "--help"), (verb, "-h"), ("help", verb), ("--help", verb)):
                self.assertIn(b"usage: sluice " + verb.encode(), self.sluice(*words).stdout)
        self.assertIn(b"did you mean filter?", self.sluice("help", "fliter", code=64).stderr)

    def test_words_that_find_no_room_are_an_error(self):
        for words in ("version", "help", "check", "check --json", "check --help"):
            done = subprocess.run(f"{SLUICE} {words} > /dev/full", shell=True, capture_output=True)
            self.assertEqual(done.returncode, 1, words)
            self.assertIn(b"cannot write standard output: No space left", done.stderr)


if __name__ == "__main__":
    if not os.access(SLUICE, os.X_OK):
        sys.exit(f"no program at {SLUICE}; build it or set SLUICE")
    unittest.main()

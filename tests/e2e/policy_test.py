"""policy_test.py - a policy from outside: verdicts, budget, reload, unit tests and replay."""

import json
import pathlib
import random
import re
import signal
import subprocess
import time

import numpy
import pytest

from equivalence_test import Material, filter_pass, pack, put, received
from harness import DATA, QUICK, ROOT, SLUICE, Filter, Peer, sample

WORDS = "river stone light paper garden window silver morning copper winter harbour letter".split()


def text(seed, n=40):
    chance = random.Random(seed)
    return " ".join(chance.choice(WORDS) + str(chance.randrange(50)) for _ in range(n))


def sluice(*words, stdin="", code=0):
    done = subprocess.run([SLUICE, *map(str, words)], input=stdin, capture_output=True, text=True)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def jsonl(objects):
    return "".join(json.dumps(o) + "\n" for o in objects)


def verdicts(folder, objects, policy, *more):
    (folder / "policy.yaml").write_text(policy)
    sluice("filter", "-c", folder / "policy.yaml", "--verdicts", folder / "v.jsonl", "-o", folder / "out.jsonl",
           *more, "-", stdin=jsonl(objects))
    return [json.loads(line) for line in (folder / "v.jsonl").read_text().splitlines()]


# --- verdicts ---

NEAR = """
policy:
  - {when: 'duplicate.method == "text" and duplicate.similarity < 0.97', do: keep, reason: edited, weight: 0.5}
  - {when: duplicate, do: drop, reason: duplicate}
  - {when: 'attributes.lang ~= nil and attributes.lang ~= "en"', do: flag, reason: foreign}
  - {when: 'starts(sample.source, "spam.")', do: drop, reason: spam}
"""


def test_rules_decide_and_say_why(tmp_path):
    base = text(1)
    objects = [
        {"id": "a", "source": "s", "text": base},
        {"id": "edited", "source": "s", "text": base.replace("river", "brook", 1) + " 2"},
        {"id": "copy", "source": "s", "text": base},
        {"id": "copy of edited", "source": "s", "text": base.replace("river", "brook", 1) + " 2"},
        {"id": "f", "source": "s", "text": text(2), "lang": "fr"},
        {"id": "x", "source": "spam.example", "text": text(3), "lang": "en"},
        {"id": "again", "source": "s", "text": text(3)},
    ]
    got = verdicts(tmp_path, objects, NEAR)
    said = [(v["id"], v["decision"], v["reasons"], v["weight"], v["duplicate"] and v["duplicate"]["of"]) for v in got]
    assert said == [
        ("a", "keep", [], 1.0, None),
        ("edited", "keep", ["edited"], 0.5, "a"),
        ("copy", "drop", ["duplicate"], 1.0, "a"),
        ("copy of edited", "drop", ["duplicate"], 1.0, "edited"),  # what the policy keeps may represent
        ("f", "flag", ["foreign"], 1.0, None),
        ("x", "drop", ["spam"], 1.0, None),
        ("again", "keep", [], 1.0, None),  # what a rule drops is not remembered
    ]
    kept = [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert kept == ["a", "edited", "f", "again"]


NUMBERS = """
policy:
  - {when: 'duplicate and duplicate.differs == "numbers"', do: keep, reason: numbers}
  - {when: duplicate, do: drop, reason: duplicate}
  - {when: duplicate.contained >= 0.8, do: flag, reason: passage}
duplicate: {text: {threshold: 0.6, containment: 0.8, numbers: false}}
"""


def test_what_differs_in_numbers_only_is_kept_and_replay_reads_it_back(tmp_path):
    week = text(1, 60).replace("17", "").split()
    long = text(5, 120).split()
    objects = [{"id": name, "source": "s", "text": words} for name, words in (
        ("week 1", " ".join(week + "sold in 2024 week 17 by 31 people".split())),
        ("week 2", " ".join(week + "sold in 2025 week 18 by 29 people".split())),
        ("week 2 again", " ".join(week + "sold in 2025 week 18 by 29 people".split())),
        ("slot", " ".join(week + "sold by many in 2024 week 17 by 31 people".split())),
        ("page", " ".join(long)), ("passage", " ".join(long[30:70])))]
    own = verdicts(tmp_path, objects, NUMBERS.replace("numbers: false", "profile: news"))
    assert [(v["id"], (v["duplicate"] or {"of": None})["of"]) for v in own[:4]] == [
        ("week 1", None), ("week 2", None), ("week 2 again", "week 2"), ("slot", "week 1")]
    got = verdicts(tmp_path, objects, NUMBERS)
    assert [(v["id"], v["decision"], v["reasons"]) for v in got] == [
        ("week 1", "keep", []), ("week 2", "keep", ["numbers"]), ("week 2 again", "drop", ["duplicate"]),
        ("slot", "drop", ["duplicate"]), ("page", "keep", []), ("passage", "flag", ["passage"])]
    assert got[1]["duplicate"]["differs"] == "numbers" and got[5]["duplicate"] is None and got[5]["contained"] >= 0.8
    for policy, changed in ((NUMBERS, []), (NUMBERS.replace("numbers\"'", "slot\"'"), ["week 2", "slot"]),
                            (NUMBERS.replace("contained >= 0.8", "contained == nil"), ["passage"])):
        (tmp_path / "other.yaml").write_text(policy)
        done = sluice("check", "--replay", tmp_path / "v.jsonl", "-c", tmp_path / "other.yaml", "--json")
        assert json.loads(done.stdout)["changed"] == len(changed), policy


def test_check_tells_errors_of_the_policy_with_line_and_column(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text('policy:\n  - {when: "duplicate && true", do: drop, reason: duplicate}\n'
                    "  - when: (function() while true do end end)()\n    do: flag\n    reason: loop\n"
                    "budget: {keep_fraction: 0.5, by: percentile.toward.catalogue}\n")
    started = time.monotonic()
    done = sluice("check", "-c", path, code=78)
    assert time.monotonic() - started < 5
    assert done.stderr.splitlines() == [
        f'{path}:2:23: policy[1].when: && is written "and"',
        f"{path}:3:12: policy[2].when: function is not allowed: a rule is one expression, without statements and"
        " functions of its own",
        f"{path}:6:34: budget.by: toward.catalogue: influence.references has no such name",
    ]


def test_check_tells_errors_of_expressions_beside_all_others(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("policy:\n  - {when: duplicat, do: drop, reason: x}\n"
                    "  - {when: sample.byte > 1, do: remove, reason: x}\n"
                    "  - {when: duplicate, do: drop, reason: a b}\n"
                    "  - {wen: duplicate, do: keep}\n  - duplicate\n"
                    "budget: {keep_fraction: 2, by: percentile.slef}\nseed: x\n")
    done = sluice("check", "-c", path, code=78)
    told = {line.removeprefix(f"{path}:").split(" ")[0] for line in done.stderr.splitlines()}
    assert told == {"2:12:", "3:12:", "3:33:", "4:41:", "5:11:", "6:5:", "7:25:", "7:32:", "8:7:"}
    assert len(done.stderr.splitlines()) == len(told)  # nothing twice


def test_policy_may_name_a_reference_set_that_a_later_set_brings(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("seed: 5\npolicy:\n  - {when: influence.toward.cat > 0, do: keep}\n")
    reference = ("--set", "influence.references=[{name: cat, source: c, samples: 500}]")
    policy = ("--set", "policy=[{when: influence.toward.cat > 0, do: flag, reason: cat}]")
    sluice("check", "-c", path, code=78)
    sluice("check", *policy, *reference)
    told = sluice("check", "-c", path, *reference, "--print-defaults").stdout
    assert "\nseed: 5\n" in told and "influence.toward.cat > 0" in told
    told = sluice("check", "-c", path, *reference, "--set", "seed=x", code=78).stderr
    assert told.splitlines() == [told.strip()] and "seed=x" in told


def test_rule_that_fails_is_told_and_loses_nothing(tmp_path):
    policy = "policy: [{when: 'attributes.size < \"5\"', do: drop, reason: small}]\n"
    (tmp_path / "p.yaml").write_text(policy)
    done = sluice("filter", "-c", tmp_path / "p.yaml", "-o", tmp_path / "out", "-",
                  stdin=jsonl([{"id": "a", "text": text(1)}, {"id": "b", "text": text(2), "size": "3"}]))
    assert "rule 1 failed for 1 samples and did not match them: attempt to compare nil with string" in done.stderr
    assert [json.loads(line)["id"] for line in (tmp_path / "out").read_text().splitlines()] == ["a"]


# --- the budget ---

def worst_window(kept, fraction, window=20000):
    sums = numpy.cumsum(numpy.concatenate([[0], kept]))
    return numpy.abs((sums[window:] - sums[:-window]) / window - fraction).max()


@pytest.fixture(scope="session")
def real_stream():
    """Every text stream, one behind the other: lengths and languages change all the time and at once."""
    if not (DATA / "stream").is_dir():
        pytest.skip(f"no public data at {DATA / 'stream'} (SLUICE_DATA)")
    return [{"id": f"{path.stem}-{i}", "source": o["source"], "text": o["text"]}
            for path in sorted((DATA / "stream").glob("*.jsonl.zst")) for i, o in enumerate(pack(path))]


@pytest.mark.skipif(QUICK, reason="110,000 samples")
@pytest.mark.parametrize("fraction", [0.3, 0.5])
def test_budget_holds_its_share_on_a_drifting_real_stream(tmp_path, real_stream, fraction):
    got = verdicts(tmp_path, real_stream, f"budget: {{keep_fraction: {fraction}, by: sample.bytes}}\n"
                   "policy: [{when: duplicate, do: drop, reason: duplicate}]\n")
    kept = numpy.array([v["decision"] != "drop" for v in got])
    reasons = {tuple(v["reasons"]) for v in got}
    assert reasons == {(), ("budget",), ("duplicate",)}
    worst = worst_window(kept, fraction)
    print(f"{len(got)} samples, worst window of 20,000: {worst:.4f} off {fraction}")
    assert len(got) > 100000 and worst <= 0.01


@pytest.mark.skipif(QUICK, reason="21,000 samples with views")
def test_budget_by_influence_holds_its_share_on_real_embeddings(tmp_path):
    names = ["headlines-en-hourly-a", "debian-desc-en-a", "20news-a"]
    paths = [DATA / "embeddings" / f"minilm384-{name}.npy" for name in names]
    if not all(path.exists() for path in paths):
        pytest.skip(f"no public data at {DATA / 'embeddings'} (SLUICE_DATA)")
    rows = numpy.concatenate([numpy.load(path)[:, :48].astype(numpy.float32) for path in paths])
    noise = numpy.random.default_rng(1).normal(0, 0.03, rows.shape).astype(numpy.float32)
    numpy.save(tmp_path / "views.npy", numpy.stack([rows, rows + noise], axis=1))
    sources = numpy.repeat(names, [len(numpy.load(path, mmap_mode="r")) for path in paths])
    objects = [{"id": f"i{i}", "source": str(source), "text": f"text {i}", "encoder": "minilm@1"}
               for i, source in enumerate(sources)]
    got = verdicts(tmp_path, objects, "influence: {references: [{name: catalogue, source: headlines-en-hourly-a, samples: 300}]}\n"
                   "budget: {keep_fraction: 0.5, by: percentile.toward.catalogue}\nduplicate: {enabled: false}\n", "--views", tmp_path / "views.npy")
    kept = numpy.array([v["decision"] != "drop" for v in got])
    worst = worst_window(kept, 0.5)
    assert len(got) > 20000 and worst <= 0.01, worst
    scored = [(v["influence"]["percentile"]["toward"]["catalogue"], v["decision"] != "drop") for v in got[4096:]]
    high = [passed for score, passed in scored if score is not None and score > 0.8]
    low = [passed for score, passed in scored if score is not None and score < 0.2]
    assert numpy.mean(high) > 0.95 and numpy.mean(low) < 0.05


def test_what_repeats_a_kept_sample_teaches_influence_nothing_kept_or_dropped(tmp_path):
    chance = numpy.random.default_rng(2)
    rows = numpy.repeat(chance.normal(size=(600, 1, 8)), 2, axis=0)
    numpy.save(tmp_path / "views.npy", (rows + chance.normal(0, 0.1, (1200, 2, 8))).astype(numpy.float32))
    objects = [{"id": f"i{i}", "source": "s", "text": text(i // 2), "encoder": "e@1"} for i in range(1200)]

    def scores(policy):
        got = verdicts(tmp_path, objects, policy + "influence: {expert: {warmup: 256, refresh_lag: 0}}\n", "--views", tmp_path / "views.npy",
                       "--set", "duplicate.embedding.threshold=1")  # the vectors are alike by chance
        assert got[-1]["influence"]["state"] == "live"
        return [v["influence"] for v in got]

    without_duplicates = scores("duplicate: {enabled: false}\n")
    texts = "duplicate: {embedding: {threshold: 1}}\n"  # copies have the same text
    assert scores(texts + "policy: []\n") == scores(texts)  # every second sample is a copy: kept here, dropped there
    assert scores("policy: [{when: sample.bytes > 1, do: drop, reason: long}]\n") == without_duplicates  # no matches
    assert scores("") != without_duplicates


# --- nothing but the log decides ---

BUSY = {"policy": "[{when: duplicate, do: drop, reason: duplicate}, {when: sample.bytes > 200, do: flag, reason: long, weight: 0.5}, "
                  "{when: 'contains(lower(sample.source), \"b\")', do: flag, reason: b}]",
        "budget": "{keep_fraction: 0.4, by: sample.bytes % 97}", "fairness": "{group_by: sample.source}"}


@pytest.fixture(scope="module")
def busy():
    chance = random.Random(5)
    objects = [{"id": f"i{i}", "source": f"{'ab'[i % 2]}{i % 5}", "text": text(i, chance.randrange(3, 40))}
               for i in range(900 if QUICK else 3000)]
    for i in range(0, len(objects), 7):
        objects[i]["text"] = objects[i // 2]["text"]
    return Material(objects, **BUSY)


def test_flags_and_budget_do_not_depend_on_batches(tmp_path, busy):
    decisions = [json.loads(line)["decision"] for line in busy.verdicts.splitlines()]
    assert min(decisions.count(word) for word in ("keep", "flag", "drop")) > len(decisions) // 20
    with Filter(tmp_path, **busy.settings, workers=3) as one:
        put(one, busy, 7)
        assert received(one) == busy.verdicts


def test_flags_and_budget_do_not_depend_on_restarts(tmp_path, busy):
    with Filter(tmp_path, **busy.settings) as one:
        for part in (1, 2, 3):
            put(one, busy, 11 * part, until=part * len(busy.samples) // 4, resent=40)
            one.kill()
            one.start()
        put(one, busy, 100, end=len(busy.samples) * 7 // 8)
        one.stop()
        one.start()
        put(one, busy, 23, resent=100)
        assert received(one) == busy.verdicts
        one.stop()
        one.state_command("verify")


def test_state_of_filter_goes_on_with_its_budget(tmp_path, busy):
    half = len(busy.objects) // 2
    for begin, end in ((0, half), (half, None)):
        filter_pass(busy, busy.jsonl(begin, end), "--state", tmp_path / "state", "--verdicts", tmp_path / f"v{begin}")
    assert (tmp_path / "v0").read_bytes() + (tmp_path / f"v{half}").read_bytes() == busy.verdicts


# --- reload ---

class Reloaded(Filter):
    """Runs with a file that a test writes again."""

    def write(self, text):
        self.path = self.folder / "sluice.yaml"
        self.path.write_text(text)

    def command(self):
        return [*super().command(), "-c", str(self.path)]

    def reload(self, text, says):
        begin = len(self.text())
        self.write(text)
        self.process.send_signal(signal.SIGHUP)
        self.wait(says, begin)
        return self.text()[begin:]

    def wait(self, says, begin=0):
        deadline = time.monotonic() + 20
        while says not in self.text()[begin:]:
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.01)


OLD = "policy:\n  - {when: duplicate, do: drop, reason: duplicate}\n  - {when: sample.bytes > 100, do: flag, reason: old}\n"
NEW = "policy:\n  - {when: duplicate, do: drop, reason: duplicate}\n  - {when: sample.bytes > 100, do: flag, reason: new}\n"


def test_reload_while_streaming_holds_from_a_block_on_and_forgets_nothing(tmp_path):
    one = Reloaded(tmp_path)
    one.write(OLD)
    samples = [sample(f"i{i}", text(i)) for i in range(2000)]
    with one:
        with Peer(one.ingest, timeout_ms=60000) as peer:
            peer.hello("p")
            at = 0
            for i, begin in enumerate(range(0, 2000, 50)):
                if i == 17:
                    one.reload(NEW, "RELOAD-TAKEN")
                peer.put_acknowledged(begin, samples[begin:begin + 50])
                at = begin + 50
            assert at == 2000
        changed = int(re.search(r"POLICY-CHANGED offset=(\d+)", one.text())[1])
        assert changed % 256 == 0 and 850 <= changed <= 850 + 256
        reasons = [json.loads(line)["reasons"] for line in received(one).splitlines()]
        assert reasons == [["old"]] * changed + [["new"]] * (2000 - changed)
        # The same message from a producer that has lost its counter: the first verdict, under any policy.
        one.kill()
        one.start()
        with Peer(one.ingest, timeout_ms=60000) as peer:
            _, welcome, _ = peer.hello("p")
            answer = peer.put_acknowledged(welcome.next_sequence, samples[:10])
            assert answer.redelivered == 10


def test_reload_refuses_what_it_cannot_take(tmp_path):
    one = Reloaded(tmp_path)
    one.write(OLD)
    with one:
        said = one.reload(OLD + "  - {when: duplicat, do: keep}\nworkers: 0\n", "RELOAD-REFUSED")
        assert "sluice.yaml:4:12: policy[3].when: duplicat: unknown name; did you mean duplicate?" in said
        assert "sluice.yaml:5:10: workers" in said and "faults=2" in said
        said = one.reload(NEW + "seed: 7\n", "RELOAD-REFUSED")
        assert 'keys="seed" a running state refuses another value' in said
        one.reload(OLD, "RELOAD-SAME")
        said = one.reload(NEW + "name: other\nworkers: 2\n", "RELOAD-TAKEN")
        assert 'RELOAD-RESTART keys="name, workers" need a restart' in said and 'keys="policy"' in said
        with Peer(one.ingest, timeout_ms=60000) as peer:
            peer.hello("p")
            peer.put_acknowledged(0, [sample(f"i{i}", text(i)) for i in range(300)])
        reasons = {tuple(json.loads(line)["reasons"]) for line in received(one).splitlines()}
        assert reasons == {("new",)}  # offset 0 begins a block
        assert one.stop() == 0


def test_signals_that_come_faster_than_they_are_handled_end_nothing(tmp_path):
    """A library's thread that does not block them must not take them."""
    one = Reloaded(tmp_path)
    one.write(OLD)
    with one:
        for i in range(300):
            one.process.send_signal(signal.SIGHUP)
            time.sleep(0.0003)
        one.reload(NEW, "RELOAD-TAKEN")
        assert one.stop() == 0


def test_running_filter_tells_faults_and_unequal_groups_once(tmp_path):
    one = Reloaded(tmp_path)
    one.write("policy:\n  - {when: 'attributes.a < \"x\"', do: drop, reason: a}\n  - {when: 'starts(sample.source, \"b\")"
              " and sample.bytes > 260', do: drop, reason: b}\n"
              "fairness: {group_by: sample.source, max_ratio: 1.5, min_samples: 100}\n")
    with one, Peer(one.ingest, timeout_ms=60000) as peer:
        peer.hello("p")
        for begin in range(0, 600, 50):
            peer.put_acknowledged(begin, [sample(f"i{i}", text(i), "ab"[i % 2]) for i in range(begin, begin + 50)])
        assert one.text().count("POLICY-FAULT rule=1 attempt to compare nil with string") == 1
        assert len(re.findall(r"FAIRNESS-UNEQUAL ratio=\S+ group=b dropped=\d+ of=\d+ group=a dropped=0", one.text())) == 1


# --- unit tests of a policy ---

def test_shipped_policy_tests_pass(tmp_path):
    done = sluice("test", ROOT / "deploy" / "policy-test.yaml")
    assert done.stdout == "7 passed, 0 failed\n"
    done = sluice("test", "--json", "--set", "policy=[]", ROOT / "deploy" / "policy-test.yaml", code=1)
    result = json.loads(done.stdout)
    assert (result["passed"], result["failed"]) == (3, 4)
    assert result["tests"][1] == {"name": "a duplicate is dropped", "line": 9, "passed": False,
                                  "expected": {"decision": "drop", "reasons": ["duplicate"]},
                                  "got": {"decision": "keep", "reasons": [], "weight": 1.0}}


ALL_NAMES = """
policy: all.yaml
tests:
  - name: every name
    given:
      duplicate: {of: a, source: s, similarity: 0.5, method: image, differs: slot, contained: 0.25}
      influence: {state: stale, loss: 1, self: 2, leverage: 3, source_shift: 4, reliability: 5, toward: {cat: 6}}
      percentile: {loss: 0.1, self: 0.2, leverage: 0.3, toward: {cat: 0.4}}
      sample: {source: web, media_type: text/plain, bytes: 10, cost: 2.5, age_s: 60}
      attributes: {region: "no:rth", "page url": x}
    expect: {decision: flag, reasons: [all], weight: 2}
  - name: nothing
    given:
    expect: {decision: keep}
"""
ALL_POLICY = """
influence: {references: [{name: cat, source: c, samples: 5}]}
policy:
  - when: >
      duplicate.of == "a" and duplicate.source == "s" and duplicate.similarity == 0.5 and duplicate.method == "image"
      and duplicate.differs == "slot" and duplicate.contained == 0.25
      and influence.loss + influence.self + influence.leverage + influence.source_shift + influence.reliability +
      influence.toward.cat == 21 and influence.state == "stale"
      and percentile.toward.cat > percentile.leverage and percentile.loss < percentile.self
    do: flag
    reason: all
    weight: 2
  - when: >
      not (sample.source == "web" and sample.media_type == "text/plain" and sample.bytes == 10 and sample.cost == 2.5
      and sample.age_s == 60 and attributes.region == "no:rth" and attributes["page url"] == "x") and duplicate
    do: drop
    reason: other
"""


def test_policy_tests_can_give_every_name(tmp_path):
    (tmp_path / "all.yaml").write_text(ALL_POLICY)
    (tmp_path / "test.yaml").write_text(ALL_NAMES.replace("given:\n    expect", "given: {}\n    expect"))
    assert sluice("test", tmp_path / "test.yaml").stdout == "2 passed, 0 failed\n"


def test_policy_tests_that_fail_show_the_difference(tmp_path):
    (tmp_path / "t.yaml").write_text("tests:\n  - name: rare\n    given: {percentile.leverage: 1}\n"
                                     "    expect: {decision: keep, reasons: [], weight: 2}\n")
    done = sluice("test", tmp_path / "t.yaml", code=1)
    assert done.stdout == (f"FAIL {tmp_path}/t.yaml:2: rare\n  - decision: keep\n  + decision: flag\n  - reasons: []\n"
                           "  + reasons: [rare]\n  - weight: 2\n  + weight: 1\n0 passed, 1 failed\n")


@pytest.mark.parametrize("body,says", [
    ("tests: 1\n", "1:8: tests: expected a list"),
    ("test: []\n", "1:1: test: unknown key; did you mean tests?"),
    ("tests:\n  - {given: {duplicat: true}, expect: {decision: keep}}\n", "2:24: duplicat: unknown name; did you mean duplicate?"),
    ("tests:\n  - {given: {influence: {loss: x}}, expect: {decision: keep}}\n", '2:32: influence.loss: have "x"; it cannot'),
    ("tests:\n  - {given: {duplicate.method: near}, expect: {decision: keep}}\n", '2:32: duplicate.method: have "near"'),
    ("tests:\n  - {given: {duplicate.differs: all}, expect: {decision: keep}}\n", '2:33: duplicate.differs: have "all"'),
    ("tests:\n  - {given: {duplicate.contained: 2}, expect: {decision: keep}}\n", '2:35: duplicate.contained: have "2"'),
    ("tests:\n  - {given: {influence: {toward: {x: 1}}}, expect: {decision: keep}}\n", "influence.references has no such name"),
    ("tests:\n  - {given: {}}\n", "2:5: expect is missing"),
    ("tests:\n  - {expect: {decision: refuse}}\n", "2:25: decision: expected keep, flag or drop"),
    ("tests:\n  - {expect: {}}\n", "2:14: expect: decision is missing"),
    ("tests: [&a 1]\n", "anchors"),
    ("tests: [\n", "not YAML"),
    ("[]\n", "1:1: expected policy: FILE and tests"),
])
def test_policy_tests_that_are_wrong_say_where(tmp_path, body, says):
    (tmp_path / "t.yaml").write_text(body)
    assert f"{tmp_path}/t.yaml:" in (done := sluice("test", tmp_path / "t.yaml", code=78)).stderr
    assert says in done.stderr


# --- replay ---

def grouped(n=3000):
    """Two regions with the same texts but for their length: long ones come from the north."""
    chance = random.Random(9)
    return [{"id": f"i{i}", "source": f"s{i % 3}", "text": text(i, 10 + 20 * (i % 2) + chance.randrange(10)),
             "region": "north" if i % 2 else "south"} for i in range(n)]


FAIR = "policy: [{when: 'ends(sample.source, \"1\")', do: drop, reason: s1}]\n"
UNFAIR = "policy: [{when: sample.bytes > 240, do: drop, reason: long}]\n"
GROUPS = "fairness: {group_by: attributes.region, max_ratio: 1.25, min_samples: 500}\n"


@pytest.fixture
def replayed(tmp_path):
    objects = grouped()
    verdicts(tmp_path, objects, "policy: []\n")
    (tmp_path / "in.jsonl").write_text(jsonl(objects))
    return tmp_path


def replay(folder, policy, *more, code=0):
    (folder / "new.yaml").write_text(policy)
    return sluice("check", "--replay", folder / "v.jsonl", "-c", folder / "new.yaml", *more, code=code)


def test_replay_fails_on_an_unfair_policy_and_not_on_a_fair_one(replayed):
    done = replay(replayed, FAIR + GROUPS, replayed / "in.jsonl")
    assert "would have decided 1,000 of them otherwise" in done.stdout and "Fair: " in done.stdout
    done = replay(replayed, UNFAIR + GROUPS, replayed / "in.jsonl", code=1)
    assert 'UNFAIR: the drop rates of "north" and "south"' in done.stdout
    replay(replayed, UNFAIR + GROUPS.replace("500", "2000"), replayed / "in.jsonl")  # too few to compare
    replay(replayed, UNFAIR, replayed / "in.jsonl")  # nobody asked


def test_replay_counts_by_source_and_group(replayed):
    result = json.loads(replay(replayed, FAIR + GROUPS, "--json", replayed / "in.jsonl").stdout)
    assert result["changed"] == 1000 and result["samples"] == 3000
    assert result["before"] == {"kept": 3000, "flagged": 0, "dropped": 0}
    assert result["after"] == {"kept": 2000, "flagged": 0, "dropped": 1000}
    assert {s["source"]: s["changed"] for s in result["sources"]} == {"s0": 0, "s1": 1000, "s2": 0}
    assert {g["group"]: (g["samples"], g["dropped_before"], g["dropped_after"]) for g in result["groups"]} == {
        "south": (1500, 0, 500), "north": (1500, 0, 500)}
    assert result["ratio"] == 1 and result["unfair"] is False
    by_source = json.loads(replay(replayed, FAIR + GROUPS.replace("attributes.region", "sample.source"), "--json",
                                  code=1).stdout)
    assert by_source["unfair"] is True and len(by_source["groups"]) == 3


def test_replay_of_the_same_policy_changes_nothing(tmp_path, busy):
    (tmp_path / "v.jsonl").write_bytes(busy.verdicts)
    (tmp_path / "in.jsonl").write_text(busy.jsonl())
    result = json.loads(sluice("check", "--replay", tmp_path / "v.jsonl", "--json", *busy.words(),
                               tmp_path / "in.jsonl").stdout)
    assert result["changed"] == 0 and result["samples"] == len(busy.objects)
    assert result["after"]["dropped"] > 0 and result["after"]["flagged"] > 0


def test_replay_says_what_it_lacks(replayed):
    done = replay(replayed, FAIR + GROUPS, code=64)
    assert "attributes.region is not in a verdict file; name the samples too" in done.stderr
    lines = (replayed / "in.jsonl").read_text().splitlines(keepends=True)
    (replayed / "few.jsonl").write_text("".join(lines[:100]))
    done = replay(replayed, FAIR + GROUPS, replayed / "few.jsonl", code=1)
    assert 'v.jsonl:101: no sample with the id "i100" is left' in done.stderr
    (replayed / "v.jsonl").write_text('{"id": "a", "decision": "keep", "offset": 0}\nnonsense\n')
    assert "v.jsonl:2: not JSON" in replay(replayed, FAIR, code=1).stderr
    (replayed / "v.jsonl").write_text('{"id": "a", "decision": "hold", "offset": 0}\n')
    assert "v.jsonl:1: decision is none of" in replay(replayed, FAIR, code=1).stderr
    assert "cannot open" in sluice("check", "--replay", replayed / "none", code=1).stderr

"""embedding_test.py - duplicates by embedding through the whole program: files, sockets, kills, hostile vectors.

Texts are all different, so that only the vectors can say duplicate."""

import json
import os
import subprocess

import numpy
import pytest

from harness import DATA, QUICK, SLUICE, Filter, Peer, Sample, sample_pb

EMBEDDINGS = DATA / "embeddings"
F32, F16, I8 = 1, 2, 3
NO_INFLUENCE = ["--set", "influence.enabled=false"]


def unit(rows):
    return rows / numpy.linalg.norm(rows, axis=-1, keepdims=True)


def near(row, cosine, random):
    aside = random.standard_normal(len(row))
    aside -= row * (row @ aside)
    return cosine * row + numpy.sqrt(1 - cosine * cosine) * unit(aside)


def text(i):
    """Words that no other sample has."""
    return " ".join(f"w{i}x{k}" for k in range(9))


def sample(i, row, kind=F32, encoder="e@1", payload=True, identity=None):
    one = Sample(id=identity or f"id{i}", source="s", payload=text(i).encode() if payload else b"", encoder=encoder)
    tensor = one.views.add().embedding
    tensor.type = kind
    tensor.shape.append(len(row))
    if kind == I8:
        tensor.scale = float(numpy.abs(row).max() / 127) if len(row) else 1
        tensor.data = numpy.round(row / tensor.scale).astype("i1").tobytes()
    else:
        tensor.data = row.astype("<f4" if kind == F32 else "<f2").tobytes()
    return one


def run_filter(folder, views, *words, lines=None):
    numpy.save(folder / "views.npy", views)
    with open(folder / "in.jsonl", "w") as file:
        for i in range(len(views)):
            file.write(json.dumps(lines(i) if lines else {"id": f"id{i}", "text": text(i)}) + "\n")
    verdicts = folder / "verdicts"
    done = subprocess.run([SLUICE, "filter", *words, "--views", folder / "views.npy", "--verdicts", verdicts, "-o", os.devnull,
                           folder / "in.jsonl"], capture_output=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in verdicts.read_text().splitlines()]



def cover(rows, threshold):
    """Greedy: the nearest kept row at the threshold, and whether rounding could decide it."""
    kept, of, close = [], [], []
    for i, row in enumerate(rows):
        cosines = rows[kept] @ row if kept else numpy.array([-1.0])
        best = int(cosines.argmax())
        close.append(abs(cosines[best] - threshold) < 5e-5)
        of.append(kept[best] if cosines[best] >= threshold else None)
        if of[-1] is None:
            kept.append(i)
    return of, close


@pytest.mark.skipif(not EMBEDDINGS.exists(), reason=f"no {EMBEDDINGS}")
@pytest.mark.parametrize("threshold", [0.95, 0.8])
def test_filter_finds_what_brute_force_finds_on_real_vectors(tmp_path, threshold):
    views = numpy.load(EMBEDDINGS / "minilm384-article-extractions.npy")[:: 4 if QUICK else 1]
    records = run_filter(tmp_path, views, *NO_INFLUENCE, "--set", f"duplicate.embedding.threshold={threshold}")
    rows = unit(views.astype("f8"))
    of, close = cover(rows, threshold)
    if any(close):  # the greedy cover may go another way from there on
        of = [None if r["duplicate"] is None else int(r["duplicate"]["of"][2:]) for r in records]
    found = 0
    for i, record in enumerate(records):
        duplicate = record["duplicate"]
        assert (duplicate is None) == (of[i] is None), (i, duplicate, of[i])
        assert record["decision"] == ("keep" if duplicate is None else "drop")
        if duplicate is not None:
            j = int(duplicate["of"][2:])
            found += 1
            assert duplicate["method"] == "embedding" and records[j]["decision"] == "keep"
            assert rows[i] @ rows[j] >= threshold - 4e-7
            assert abs(duplicate["similarity"] - rows[i] @ rows[j]) < 1e-4
            assert rows[i] @ rows[j] >= rows[i] @ rows[of[i]] - 1e-4
    assert found > len(records) / 10


def test_other_methods_answer_first(tmp_path):
    random = numpy.random.default_rng(1)
    row = unit(random.standard_normal(32))
    views = numpy.array([row] * 3).astype("f4")
    words = [text(0), text(0), text(2)]
    records = run_filter(tmp_path, views, *NO_INFLUENCE, lines=lambda i: {"id": f"id{i}", "text": words[i]})
    assert [r["duplicate"] and r["duplicate"]["method"] for r in records] == [None, "exact", "embedding"]
    assert records[2]["duplicate"]["similarity"] == 1 and records[2]["duplicate"]["of"] == "id0"


@pytest.mark.parametrize("dim", [7, 8, 9, 100, 4096, 4097])
def test_every_dimension_and_type_is_compared(tmp_path, dim):
    random = numpy.random.default_rng(dim)
    rows = unit(random.standard_normal((4, dim)))
    with Filter(tmp_path, influence__enabled="false", duplicate__embedding__threshold=0.93) as running:
        with Peer(running.ingest) as peer:
            peer.hello("p")
            samples = [sample(i, rows[i], (F32, F16, I8, F32)[i]) for i in range(4)]
            for i in range(4):
                for k, kind in enumerate((F32, F16, I8)):
                    samples.append(sample(10 + 10 * i + k, near(rows[i], 0.96, random), kind))
            samples.append(sample(90, near(rows[0], 0.9, random)))
            peer.put_acknowledged(0, samples)
        records = read_verdicts(running)
    compared = 8 <= dim <= 4096
    for i in range(4):
        for k in range(3):
            duplicate = records[f"id{10 + 10 * i + k}"]
            assert (duplicate.of == f"id{i}" and abs(duplicate.similarity - 0.96) < 0.01) if compared else duplicate is None
    assert records["id90"] is None


def read_verdicts(running):
    """id -> its duplicate finding, or None."""
    with Peer(running.egress) as peer:
        samples = peer.read_all(every=True)
    found = {}
    for one in samples:
        annotation = one.annotations[-1]
        found[one.id] = annotation.duplicate if annotation.HasField("duplicate") else None
    return found


def test_encoders_and_versions_are_strangers(tmp_path):
    row = unit(numpy.random.default_rng(3).standard_normal(64))
    with Filter(tmp_path, influence__enabled="false") as running:
        with Peer(running.ingest) as peer:
            peer.hello("p")
            peer.put_acknowledged(0, [sample(i, row, encoder=f"e@{i % 6}") for i in range(12)])
        records = read_verdicts(running)
    for i in range(12):
        assert (records[f"id{i}"] is None) if i < 6 else records[f"id{i}"].of == f"id{i - 6}"


def test_vectors_without_text_are_compared_and_resent_ones_are_not_their_own_duplicates(tmp_path):
    random = numpy.random.default_rng(4)
    rows = unit(random.standard_normal((40, 48)))
    samples = [sample(i, rows[i], payload=False) for i in range(40)]
    with Filter(tmp_path, influence__enabled="false") as running:
        with Peer(running.ingest) as peer:
            peer.hello("p")
            peer.put_acknowledged(0, samples)
            ack = peer.put_acknowledged(40, samples)  # a producer that lost its counter
            assert ack.redelivered == 40
            peer.put_acknowledged(80, [sample(100, near(rows[3], 0.97, random), payload=False)])
        records = read_verdicts(running)
    assert len(records) == 41 and records["id100"].of == "id3"
    assert all(records[f"id{i}"] is None for i in range(40))


def test_hostile_vectors_are_refused_and_leave_nothing(tmp_path):
    good = unit(numpy.random.default_rng(5).standard_normal(64))
    bad = [good * 0, good * 1, good * 1, good * 1]
    bad[1][3], bad[2][3], bad[3][3] = numpy.nan, numpy.inf, -numpy.inf
    with Filter(tmp_path, influence__enabled="false") as running:
        with Peer(running.ingest) as peer:
            peer.hello("p")
            ack = peer.put_acknowledged(0, [sample(i, row) for i, row in enumerate(bad)] + [sample(8, good * 1e25),
                                        sample(9, good)])
            assert ack.refused == 4
            assert [f.reason for f in ack.faults] == ["view_zero_norm"] + ["view_not_finite"] * 3
        records = read_verdicts(running)
    assert records["id8"] is None and records["id9"].of == "id8"  # the norm does not matter


def test_a_flood_of_equal_and_nearly_equal_vectors_is_one_sample(tmp_path):
    """Bounded; a million of them are in the bench."""
    n = 4000 if QUICK else 30000
    random = numpy.random.default_rng(6)
    row = unit(random.standard_normal(64))
    views = numpy.repeat(row[None], n, 0)
    views[1::2] = unit(row + random.standard_normal((n // 2, 64)) * 0.005)
    views[-1] = near(row, 0.9, random)
    records = run_filter(tmp_path, views.astype("f4"), *NO_INFLUENCE)
    assert [r["decision"] for r in records].count("keep") == 2
    assert all(r["duplicate"]["of"] == "id0" and r["duplicate"]["method"] == "embedding" for r in records[1:-1])
    assert records[-1]["duplicate"] is None


def stream(n, random, d=96):
    """A third new, the rest near one of the last fifty."""
    rows = []
    for i in range(n):
        rows.append(unit(random.standard_normal(d)) if i < 3 or random.random() < 0.33 else
                    near(rows[-1 - random.integers(min(i, 50))], random.choice([0.94, 0.96, 0.99]), random))
    return unit(numpy.array(rows))


@pytest.mark.parametrize("window", [{}, {"duplicate__window__samples": 60}])
def test_batches_workers_and_kills_change_no_verdict(tmp_path, window):
    n = 400 if QUICK else 1200
    rows = stream(n, numpy.random.default_rng(7))
    samples = [sample(i, rows[i]) for i in range(n)]
    verdicts = []
    for name, size, settings, kills in (("a", 64, {}, False), ("b", 7, {"workers": 4}, False), ("c", 100, {"workers": 2}, True)):
        (tmp_path / name).mkdir()
        with Filter(tmp_path / name, influence__enabled="false", duplicate__embedding__memory="1MiB", **window, **settings) as running:
            for first in range(0, n, size):
                with Peer(running.ingest) as peer:
                    peer.hello("p")
                    peer.put_acknowledged(first, samples[first:first + size])
                if kills and first % 300 == 0:
                    running.kill()
                    running.start()
            verdicts.append({key: value and (value.of, value.method, value.similarity)
                             for key, value in read_verdicts(running).items()})
            running.stop()
            assert "is sound" in running.state_command("verify")
    assert verdicts[0] == verdicts[1] == verdicts[2]
    found = sum(value is not None for value in verdicts[0].values())
    assert n / 4 < found < n


def test_what_ages_out_is_new_again(tmp_path):
    random = numpy.random.default_rng(8)
    rows = unit(random.standard_normal((100, 64)))
    views = numpy.concatenate([rows, rows]).astype("f4")
    by_count = run_filter(tmp_path, views, *NO_INFLUENCE, "--set", "duplicate.window.samples=150")
    assert [r["duplicate"]["of"] for r in by_count[100:]] == [f"id{i}" for i in range(100)]
    by_count = run_filter(tmp_path, views, *NO_INFLUENCE, "--set", "duplicate.window.samples=99")
    assert all(r["duplicate"] is None for r in by_count)
    by_age = run_filter(tmp_path, views, *NO_INFLUENCE, "--set", "duplicate.window.age=150s",
                        lines=lambda i: {"id": f"id{i}", "text": text(i), "ts": 1700000000 + 2 * i})
    assert all(r["duplicate"] is None for r in by_age)
    by_age = run_filter(tmp_path, views, *NO_INFLUENCE, "--set", "duplicate.window.age=250s",
                        lines=lambda i: {"id": f"id{i}", "text": text(i), "ts": 1700000000 + 2 * i})
    assert all(r["duplicate"] is not None for r in by_age[100:])


@pytest.mark.parametrize("n", [0, 2, 4])
def test_views_that_are_not_one_a_sample_are_an_error(tmp_path, n):
    numpy.save(tmp_path / "v.npy", numpy.eye(n, 8, dtype="f4"))
    lines = "".join(json.dumps({"text": text(i)}) + "\n" for i in range(3))
    done = subprocess.run([SLUICE, "filter", "--views", tmp_path / "v.npy"], input=lines, capture_output=True, text=True)
    assert done.returncode == 1 and "--views has" in done.stderr


def test_calibrate_proposes_the_threshold_of_the_labels(tmp_path):
    random = numpy.random.default_rng(9)
    rows = unit(random.standard_normal((300, 40)))
    cosines = random.uniform(0.7, 0.999, 300)
    twins = numpy.array([near(row, cosine, random) for row, cosine in zip(rows, cosines)])
    numpy.save(tmp_path / "v.npy", numpy.concatenate([rows, twins]).astype("f4"))
    (tmp_path / "ids").write_text("".join(f"n{i}\n" for i in range(600)))
    lines = [f"n{i}\tn{300 + i}\t{int(cosines[i] >= 0.85)}\n" for i in range(300)] + ["n1\tn2\tunsure\n", "x\ty\t1\n"]
    (tmp_path / "pairs.tsv").write_text("id_a\tid_b\tlabel\n" + "".join(lines))
    words = [SLUICE, "check", "--calibrate", tmp_path / "pairs.tsv", "--views", tmp_path / "v.npy", "--ids", tmp_path / "ids"]
    said = json.loads(subprocess.run([*words, "--json"], capture_output=True, check=True).stdout)
    assert abs(said["proposed"]["threshold"] - 0.85) < 0.01 and said["proposed"]["f1"] == 1
    assert said["duplicates"] == int((cosines >= 0.85).sum()) and said["unknown_lines"] == 2
    table = subprocess.run(words, capture_output=True, check=True, text=True).stdout
    assert "Proposed (highest F1): --set duplicate.embedding.threshold=0.8" in table
    # Groups: every pair of the ids counts.
    (tmp_path / "groups.tsv").write_text("".join(f"n{i}\tg{i % 300}\n" for i in range(600)))
    words[3] = tmp_path / "groups.tsv"
    said = json.loads(subprocess.run([*words, "--json"], capture_output=True, check=True).stdout)
    assert said["duplicates"] == 300 and said["proposed"]["recall"] > 0.95
    # A note behind each group changes nothing.
    (tmp_path / "groups.tsv").write_text("id\tgroup\tnote\n" + "".join(f"n{i}\tg{i % 300}\tby hand\n" for i in range(600)))
    noted = json.loads(subprocess.run([*words, "--json"], capture_output=True, check=True).stdout)
    assert noted["proposed"] == said["proposed"] and noted["unknown_lines"] == 1
    for bad, code in (([SLUICE, "check", "--calibrate", "x"], 64), ([*words[:3], tmp_path / "none", *words[4:]], 1),
                      ([*words[:5], tmp_path / "ids", *words[6:]], 1)):
        done = subprocess.run(bad, capture_output=True)
        assert done.returncode == code and done.stderr


def test_calibrate_takes_the_mean_off_vectors_that_all_resemble_each_other(tmp_path):
    random = numpy.random.default_rng(10)
    rows = unit(random.standard_normal((200, 64)))
    twins = numpy.array([near(row, cosine, random) for row, cosine in zip(rows, random.uniform(0.7, 0.99, 200))])
    cone = unit(numpy.concatenate([rows, twins]) + 1.7 * unit(random.standard_normal(64)))
    numpy.save(tmp_path / "v.npy", cone.astype("f4"))
    (tmp_path / "pairs.tsv").write_text("".join(f"{i}\t{i + 200}\t1\n" for i in range(200)))
    words = [SLUICE, "check", "--calibrate", tmp_path / "pairs.tsv", "--views", tmp_path / "v.npy"]
    raw = json.loads(subprocess.run([*words, "--json"], capture_output=True, check=True).stdout)
    assert abs(raw["random_cosine"] - numpy.median(cone @ cone.T)) < 0.01 and raw["random_cosine"] > 0.7
    assert "all resemble each other" in subprocess.run(words, capture_output=True, check=True, text=True).stdout
    words += ["--mean", tmp_path / "mean.npy"]
    less = json.loads(subprocess.run([*words, "--json"], capture_output=True, check=True).stdout)
    mean = numpy.load(tmp_path / "mean.npy")
    assert mean.dtype == "f4" and numpy.allclose(mean, cone.mean(0), atol=1e-6)
    assert less["random_cosine"] < 0.02 and less["proposed"]["threshold"] < raw["proposed"]["threshold"] - 0.05
    # What stands there is what the vectors less that mean say themselves.
    numpy.save(tmp_path / "v.npy", unit(cone - mean).astype("f4"))
    by_hand = json.loads(subprocess.run([*words[:-2], "--json"], capture_output=True, check=True).stdout)
    assert by_hand["proposed"] == less["proposed"] and by_hand["random_cosine"] == less["random_cosine"]
    bad = subprocess.run([*words[:-1], tmp_path / "none" / "mean.npy"], capture_output=True)
    assert bad.returncode == 1 and b"cannot be written" in bad.stderr


def test_calibrate_says_where_no_threshold_is_precise(tmp_path):
    random = numpy.random.default_rng(11)
    rows = unit(random.standard_normal((100, 32)))
    numpy.save(tmp_path / "v.npy", numpy.concatenate([rows, rows]).astype("f4"))
    (tmp_path / "pairs.tsv").write_text("".join(f"{i}\t{i + 100}\t{i % 2}\n" for i in range(100)))
    words = [SLUICE, "check", "--calibrate", tmp_path / "pairs.tsv", "--views", tmp_path / "v.npy"]
    said = json.loads(subprocess.run([*words, "--json"], capture_output=True, check=True).stdout)
    assert said["precise"] is None and said["proposed"]["precision"] == 0.5
    assert "no threshold reaches precision 0.99" in subprocess.run(words, capture_output=True, check=True, text=True).stdout


@pytest.mark.skipif(not EMBEDDINGS.exists(), reason=f"no {EMBEDDINGS}")
def test_calibrate_on_labelled_packs(tmp_path):
    for pairs, views, threshold, f1 in (("text-labelled/article-extractions.groups.tsv", "minilm384-article-extractions", 0.625, 0.675),
                                        ("images/cifar10.pairs.tsv", "sscd-distilled-views-cifar10-core", 0.683, 0.80)):
        done = subprocess.run([SLUICE, "check", "--json", "--calibrate", DATA / pairs, "--views", EMBEDDINGS / f"{views}.npy",
                               "--ids", EMBEDDINGS / f"{views}.ids.txt"], capture_output=True, check=True)
        said = json.loads(done.stdout)["proposed"]
        assert abs(said["threshold"] - threshold) < 0.02 and said["f1"] >= f1 - 0.002

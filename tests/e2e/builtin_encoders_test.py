"""builtin_encoders_test.py - `encoder: builtin`: scores without any views sent, the same bits whatever messages, workers and deaths."""

import json
import os
import struct
import subprocess
import zlib

import numpy
import pytest

from harness import Filter, Peer, QUICK, ROOT, SLUICE, Sample, sample_pb

SETTINGS = {"encoder": "builtin", "influence__expert__warmup": 256, "influence__expert__refresh_lag": 1,
            "influence__references": '[{name: first, source: licences, samples: 100}]', "duplicate__image__memory": "1MiB"}
N = 1200 if QUICK else 1500


def texts(name):
    lines = subprocess.run(["zstd", "-dcq", ROOT / "tests/data/text" / f"{name}.jsonl.zst"], capture_output=True, check=True).stdout
    return [json.loads(line)["text"] for line in lines.split(b"\n") if line]


def png(random):
    """A picture of 40 x 40 with something in it."""
    y, x = numpy.mgrid[:40, :40]
    picture = numpy.full((40, 40, 3), random.integers(0, 200, 3), numpy.uint8)
    for _ in range(6):
        cx, cy, r = random.integers(0, 40, 3)
        picture[(x - cx) ** 2 + (y - cy) ** 2 < (r / 2 + 4) ** 2] = random.integers(0, 255, 3)
    return encode_png(picture)


def encode_png(picture):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + row.tobytes() for row in picture)
    header = struct.pack(">IIBBBBB", picture.shape[1], picture.shape[0], 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def kind_of(i):
    return "image" if i % 3 == 2 else ["empty", "flat", "other", "signs"][i // 100 % 4] if i % 100 == 1 else "text"


def samples():
    random = numpy.random.default_rng(11)
    licences, descriptions = texts("spdx-licences"), texts("debian-descriptions")
    out = []
    for i in range(N):
        kind, one = kind_of(i), Sample(id=f"b{i}", source="pictures")
        if kind == "image":
            one.payload, one.media_type = png(random), "image/png"
        elif kind == "flat":
            one.payload, one.media_type = encode_png(numpy.full((40, 40, 3), i % 200, numpy.uint8)), "image/png"
        elif kind == "other":
            one.payload, one.media_type = b"RIFF%d" % i, "audio/wav"
        elif kind == "signs":
            one.payload, one.source = f"... {'!' * i}".encode(), "signs"
        elif kind == "text":
            pack = licences if i % 2 else descriptions
            one.payload, one.source = pack[i // 2 % len(pack)][:5000].encode(), "licences" if i % 2 else "descriptions"
        else:
            one.media_type = "text/plain"
        out.append(one)
    return out


SAMPLES = samples()


def annotations(folder, batch, kill_at=(), **settings):
    with Filter(folder, **SETTINGS, **settings) as running:
        ends = sorted({*range(batch, N, batch), N, *kill_at})
        for i, (begin, end) in enumerate(zip([0, *ends], ends)):
            if i == 0 or begin in kill_at:
                producer = Peer(running.ingest, timeout_ms=30000)
                producer.hello("p")
            producer.put_acknowledged(begin, SAMPLES[begin:end])
            if end in kill_at:
                producer.close()
                running.kill()
                running.start()
        producer.close()
        with Peer(running.egress, timeout_ms=30000) as consumer:
            got = consumer.read_all(every=True)
        running.stop()
    assert len(got) == N
    return [s.annotations[0] for s in got]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return annotations(tmp_path_factory.mktemp("whole"), 256)


def test_every_sample_with_features_is_scored_and_no_other(whole):
    for i, annotation in enumerate(whole):
        assert annotation.HasField("influence") == (kind_of(i) in ("text", "image")), (i, kind_of(i))


def test_texts_and_images_go_live_apart(whole):
    for kind in ("text", "image"):
        states = [a.influence.state for i, a in enumerate(whole) if kind_of(i) == kind]
        assert states[0] == 1 and states[-1] != 1, kind
        last = [a for i, a in enumerate(whole) if kind_of(i) == kind][-1].influence
        assert last.HasField("self") and last.HasField("leverage") and last.HasField("reliability")
        # the reference is made of texts; images have none to be measured against
        assert last.toward["first"].HasField("value") == (kind == "text")


def test_what_goes_on_is_what_came(tmp_path):
    with Filter(tmp_path, **SETTINGS) as running:
        with Peer(running.ingest) as producer:
            producer.hello("p")
            producer.put_acknowledged(0, SAMPLES[:6])
        with Peer(running.egress) as consumer:
            got = consumer.read_all(every=True)
        running.stop()
    for one, sent in zip(got, SAMPLES):
        del one.annotations[:]
        assert one == sent  # no views, no encoder


@pytest.mark.parametrize("batch, workers", [(7, 4)] if QUICK else [(1, 1), (7, 4), (N, 2)])
def test_messages_and_workers_change_no_bit(whole, tmp_path, batch, workers):
    assert annotations(tmp_path, batch, workers=workers) == whole


def test_deaths_in_between_change_no_bit(whole, tmp_path):
    assert annotations(tmp_path, 100, kill_at=(130, 300, 700, 777)) == whole


def test_another_seed_gives_other_scores(whole, tmp_path):
    other = annotations(tmp_path, 256, seed=2)
    same = [a.influence.loss == b.influence.loss for i, (a, b) in enumerate(zip(whole, other)) if kind_of(i) in ("text", "image")]
    assert sum(same) < len(same) / 10


def filtered(folder, lines, *more):
    (folder / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = subprocess.run([SLUICE, "filter", "--set", "encoder=builtin", "--verdicts", folder / "v", "-o", os.devnull, "--json", *more,
                           folder / "in.jsonl"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (folder / "v").read_text().splitlines()], done


def test_filter_counts_what_has_no_views(tmp_path):
    records, done = filtered(tmp_path, [{"id": "a", "text": "some words"}, {"id": "b", "text": "..."}, {"id": "c", "text": "other things"}])
    assert [r["influence"] is None for r in records] == [False, True, False]
    summary = json.loads((done.stdout + done.stderr).strip().splitlines()[-1])
    assert summary["influence"] == {"none": 1, "warming": 2, "live": 0, "stale": 0}


def test_views_that_come_go_before_those_made_here_and_no_sample_is_refused_for_ours(tmp_path):
    rows = numpy.random.default_rng(3).normal(size=(4, 2, 8)).astype(numpy.float32)
    state = tmp_path / "state"
    lines = [{"id": f"v{i}", "text": f"with views {i}", "encoder": f"e{i}@1"} for i in range(4)]
    numpy.save(tmp_path / "views.npy", rows)
    records, _ = filtered(tmp_path, lines, "--views", tmp_path / "views.npy", "--state", state)
    assert all(r["influence"]["reliability"] is None for r in records)
    # four encoders are known: ours finds no room, which costs its scores and nothing else
    records, _ = filtered(tmp_path, [{"id": "n", "text": "without views of its own"}], "--state", state)
    assert records[0]["decision"] == "keep" and records[0]["influence"] is None


def test_a_reference_file_needs_no_views(tmp_path):
    lines = [{"id": f"r{i}", "text": text} for i, text in enumerate(texts("spdx-licences")[:50])]
    (tmp_path / "refs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    stream = [{"id": f"d{i}", "text": text} for i, text in enumerate(dict.fromkeys(texts("debian-descriptions")))][:800]
    records, _ = filtered(tmp_path, stream, "--set", "influence.expert.warmup=256", "--set", "influence.expert.refresh_lag=0", "--set",
                          f"influence.references=[{{name: licences, path: {tmp_path}/refs.jsonl}}]")
    assert records[-1]["influence"]["toward"]["licences"] is not None

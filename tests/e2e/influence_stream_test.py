"""influence_stream_test.py - scores of a running filter: the same for any messages, workers, and deaths in between."""

import numpy
import pytest

from harness import Filter, Peer, QUICK, Sample, sample_pb

N = 1000 if QUICK else 2200
SETTINGS = {"duplicate__embedding__threshold": 1, "influence__expert__warmup": 512, "influence__expert__refresh_lag": 1,
            "influence__references": '[{name: first, source: s0, samples: 200}]'}


def samples(n=N, k=3, d=20):
    random = numpy.random.default_rng(5)
    scale = 1 / numpy.arange(1, d + 1)
    anchors = random.normal(size=(n, d)) * scale + 0.4
    out = []
    for i in range(n):
        one = Sample(id=f"i{i}", source=f"s{i % 3}", payload=f"text {i % 900}".encode(), encoder="e@1")  # some duplicates
        for j in range(k):
            row = anchors[i] + (random.normal(size=d) * scale * 0.3 if j else 0)
            tensor = one.views.add().embedding
            tensor.type, tensor.data = sample_pb.Tensor.TYPE_F16, row.astype(numpy.float16).tobytes()
            tensor.shape.append(d)
        out.append(one)
    return out


SAMPLES = samples()


def annotations(folder, batch, kill_at=(), **settings):
    """Every sample's annotation, as bytes."""
    with Filter(folder, **SETTINGS, **settings) as running:
        at = 0
        while at < N:
            end = min([at + batch, N] + [k for k in kill_at if k > at])
            with Peer(running.ingest, timeout_ms=30000) as producer:
                producer.hello("p")
                while at < end:
                    producer.put_acknowledged(at, SAMPLES[at:min(at + batch, end)])
                    at = min(at + batch, end)
                    end = min([at + batch, N] + [k for k in kill_at if k > at]) if at not in kill_at else at
            if at in kill_at:
                running.kill()
                running.start()
        with Peer(running.egress, timeout_ms=30000) as consumer:
            got = consumer.read_all(every=True)
        running.stop()
    assert len(got) == N
    return [s.annotations[0] for s in got]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return annotations(tmp_path_factory.mktemp("whole"), 256)


def test_scores_are_there(whole):
    last = whole[-1].influence
    assert last.state and last.HasField("self") and last.toward["first"].HasField("value")
    assert whole[10].influence.state == 1 and not whole[10].influence.HasField("self")
    assert any(a.HasField("duplicate") for a in whole)


@pytest.mark.parametrize("batch, workers", [(7, 4), (4096, 1)] if QUICK else [(1, 1), (7, 4), (4096, 1)])
def test_messages_and_workers_change_no_bit(whole, tmp_path, batch, workers):
    assert annotations(tmp_path, batch, workers=workers) == whole


def test_deaths_in_between_change_no_bit(whole, tmp_path):
    assert annotations(tmp_path, 100, kill_at=(300, 700, 777)) == whole

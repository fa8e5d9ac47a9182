#!/usr/bin/env python3
"""The wire between languages and versions.

tests/data/wire/v1-first holds the first .proto files of sluice.v1 and messages written by them. Both
sides are held to those bytes: here Python (today's .proto files and the first ones), in
tests/unit/{record,wire_session}_test.c the C side, which must read them and write the same ones. So
each reads what the other writes, and what was written once stays readable.

Run as a script or by pytest. `--write FOLDER` writes the messages instead (for a new version; the
files of an old one never change).
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "data" / "wire" / "v1-first"
PROTOS = [f"sluice/v1/{name}.proto" for name in ("sample", "annotation", "session")]
BIG = 2**63 + 5
# What Python cannot know: field 20 (kept for Sluice), 100 and 2000 (a user's).
UNKNOWN = bytes([0xA0, 0x01, 7, 0xA2, 0x06, 4]) + b"user" + bytes([0x85, 0x7D, 1, 2, 3, 4])


def missing():
    """Why nothing can be tested here, or None."""
    try:
        import google.protobuf  # noqa: F401
    except ImportError:
        return "python3-protobuf is not installed"
    return None if shutil.which("protoc") else "protoc is not installed"


if "pytest" in sys.modules and missing():
    sys.modules["pytest"].skip(missing(), allow_module_level=True)


class Messages:
    """The message types of one set of .proto files, without generated modules to collide."""

    def __init__(self, proto_path):
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "set.pb"
            subprocess.run(["protoc", f"--proto_path={proto_path}", f"--descriptor_set_out={out}",
                            "--include_imports", *PROTOS], check=True)
            files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
        pool = descriptor_pool.DescriptorPool()
        for file in files.file:
            pool.Add(file)
        for file in files.file:
            for name in pool.FindFileByName(file.name).message_types_by_name:
                descriptor = pool.FindMessageTypeByName(f"sluice.v1.{name}")
                if hasattr(message_factory, "GetMessageClass"):
                    setattr(self, name, message_factory.GetMessageClass(descriptor))
                else:
                    setattr(self, name, message_factory.MessageFactory(pool).GetPrototype(descriptor))


def session_messages(m):
    """Name -> message; tests/unit/wire_session_test.c has the same values."""
    to, back = m.ToFilter, m.FromFilter
    result = {
        "hello": to(), "put": to(), "fetch-offset": to(), "fetch-commits": to(), "commit": to(),
        "reject": to(), "ping": to(), "welcome": back(), "ack": back(), "records": back(),
        "committed": back(), "pong": back(), "error": back(),
    }
    result["hello"].hello.wire = 1
    result["hello"].hello.producer = "crawler-é"
    put = result["put"].put
    put.sequence, put.count, put.xxh3 = BIG, 512, 0xFEDCBA9876543210
    fetch = result["fetch-offset"].fetch
    fetch.group, fetch.offset, fetch.max_bytes, fetch.wait_ms = "train", 0, 1 << 20, 250
    fetch.shard, fetch.shards, fetch.all = 3, 8, True
    fetch = result["fetch-commits"].fetch
    fetch.group, fetch.consumer, fetch.lease_ms, fetch.after_commits = "train", "rank0", 30000, True
    commit = result["commit"].commit
    commit.group, commit.first_offset, commit.next_offset = "train", 10, BIG
    reject = result["reject"].reject
    reject.group, reject.offset, reject.reason = "train", 11, "cannot decode"
    result["ping"].ping.SetInParent()
    welcome = result["welcome"].welcome
    welcome.next_sequence, welcome.max_in_flight_bytes, welcome.max_batch_bytes = 7, 64 << 20, 4 << 20
    ack = result["ack"].ack
    ack.next_sequence, ack.max_in_flight_bytes = 519, 1 << 24
    ack.kept, ack.flagged, ack.dropped, ack.refused, ack.redelivered = 400, 1, 100, 2, 9
    ack.faults.add(sequence=8, reason="id_missing", text="id is missing; it takes 1 to 256 bytes of UTF-8")
    ack.faults.add(sequence=BIG, reason="text_too_large", text="the text is 1048577 bytes; the limit is 1048576")
    records = result["records"].records
    records.first_offset, records.next_offset, records.count = 100, 228, 120
    records.delivery, records.head_offset = 2, BIG
    result["committed"].committed.floor_offset = 99
    result["pong"].pong.SetInParent()
    error = result["error"].error
    error.code, error.text, error.retry = 3, "sequence 9 where 7 was expected", True
    error.expected_sequence, error.retry_after_ms = 7, 100
    return result


def plain_sample(m):
    """All fields that are not annotations; tests/unit/record_test.c has the same values."""
    sample = m.Sample(id="a1", source="shop/é", event_time_us=1700000000123456,
                      payload="Grüße, \"world\"\n".encode(), media_type="text/plain",
                      encoder="minilm@2", cost=0.125)
    view = sample.views.add(augmentation="anchor")
    view.embedding.type, view.embedding.scale = 3, 0.5
    view.embedding.shape.append(4)
    view.embedding.data = bytes([1, 2, 0xFE, 0xFF])
    sample.attributes["region"] = "eu"
    return sample


def first_hop(m):
    """A duplicate, as C writes it."""
    annotation = m.Annotation(offset=17, decision=3, reasons=["duplicate"], weight=1.0)
    duplicate = annotation.duplicate
    duplicate.of, duplicate.of_source, duplicate.similarity, duplicate.method = "a0", "shop/é", 0.93, 2
    return annotation


def second_hop(m):
    """Another filter behind the first one."""
    return m.Annotation(offset=0, decision=2, reasons=["rare", "new"], weight=0.5)


def with_influence(m):
    """What a later version writes into the fields that this one leaves empty."""
    annotation = m.Annotation(offset=5, decision=1, weight=1.0)
    influence = annotation.influence
    influence.state, influence.loss, influence.self = 2, 0.0, 2.0
    influence.toward["catalogue"].value = -0.25
    influence.toward["empty"].SetInParent()
    influence.percentile.self = 0.75
    influence.percentile.toward["catalogue"].value = 0.5
    return annotation


def annotated(m, *hops):
    """Appending one encoded field, by hand: the prefix property."""
    data = plain_sample(m).SerializeToString(deterministic=True) + UNKNOWN
    for hop in hops:
        body = hop.SerializeToString(deterministic=True)
        assert len(body) < 128
        data += bytes([0x7A, len(body)]) + body
    return data


def golden(m):
    files = {f"{name}.pb": message.SerializeToString(deterministic=True)
             for name, message in session_messages(m).items()}
    files["sample.pb"] = annotated(m)
    files["sample-annotated.pb"] = annotated(m, first_hop(m))
    files["sample-two-hops.pb"] = annotated(m, first_hop(m), second_hop(m))
    files["sample-influence.pb"] = annotated(m, with_influence(m))
    batch = b""
    for name in ("sample.pb", "sample-annotated.pb", "sample-two-hops.pb"):
        assert 128 <= len(files[name]) < 16384
        batch += bytes([0x0A, len(files[name]) & 0x7F | 0x80, len(files[name]) >> 7]) + files[name]
    files["batch.pb"] = batch
    return files


def record(decision, offset, reasons, weight, duplicate):
    return {"id": "a1", "source": "shop/é", "offset": offset, "decision": decision,
            "reasons": reasons, "weight": weight, "duplicate": duplicate, "influence": None}


FIRST = record("drop", 17, ["duplicate"], 1.0,
               {"of": "a0", "of_source": "shop/é", "similarity": 0.93, "method": "text"})
SECOND = record("flag", 0, ["rare", "new"], 0.5, None)
LINE = {"id": "a1", "source": "shop/é", "ts": "2023-11-14T22:13:20.123456Z",
        "text": "Grüße, \"world\"\n", "media_type": "text/plain", "encoder": "minilm@2",
        "cost": 0.125, "region": "eu"}
TEXTS = {
    "record.json": json.dumps(FIRST, ensure_ascii=False),
    "record-second-hop.json": json.dumps(SECOND, ensure_ascii=False),
    "line.jsonl": json.dumps({**LINE, "sluice": FIRST}, ensure_ascii=False),
    "line-bare.jsonl": json.dumps(LINE, ensure_ascii=False),
}

_sets = {}


def today():
    return _sets.setdefault("today", Messages(ROOT / "proto"))


def first():
    return _sets.setdefault("first", Messages(GOLDEN))


def test_messages_written_today_are_the_golden_bytes():
    for version in (today(), first()):
        for name, data in golden(version).items():
            assert (GOLDEN / name).read_bytes() == data, name


def test_golden_bytes_read_as_the_values_of_today_and_of_the_first_version():
    for m in (today(), first()):
        for name, message in session_messages(m).items():
            read = type(message).FromString((GOLDEN / f"{name}.pb").read_bytes())
            assert read == message, name
            assert read.WhichOneof("kind") == name.split("-")[0]


def test_two_hops_of_annotations_are_read_in_order():
    for m in (today(), first()):
        sample = m.Sample.FromString((GOLDEN / "sample-two-hops.pb").read_bytes())
        assert list(sample.annotations) == [first_hop(m), second_hop(m)]
        assert sample.annotations[1].HasField("offset") and sample.annotations[1].offset == 0
        assert not sample.annotations[1].HasField("duplicate")


def test_annotated_bytes_begin_with_the_original_ones():
    plain = (GOLDEN / "sample.pb").read_bytes()
    once = (GOLDEN / "sample-annotated.pb").read_bytes()
    twice = (GOLDEN / "sample-two-hops.pb").read_bytes()
    assert once.startswith(plain) and twice.startswith(once)
    sample = today().Sample.FromString(once)
    assert len(sample.annotations) == 1 and sample.payload == plain_sample(today()).payload


def test_unknown_fields_survive_a_reader_that_writes_again():
    for m in (today(), first()):
        again = m.Sample.FromString((GOLDEN / "sample-annotated.pb").read_bytes())
        assert UNKNOWN in again.SerializeToString(deterministic=True)


def test_scores_tell_zero_from_no_value():
    for m in (today(), first()):
        sample = m.Sample.FromString((GOLDEN / "sample-influence.pb").read_bytes())
        influence = sample.annotations[0].influence
        assert influence.HasField("loss") and influence.loss == 0
        assert not influence.HasField("leverage") and not influence.percentile.HasField("loss")
        assert influence.toward["catalogue"].value == -0.25
        assert not influence.toward["empty"].HasField("value")


def test_records_and_lines_of_c_are_the_json_that_python_writes():
    for name, text in TEXTS.items():
        assert (GOLDEN / name).read_text(encoding="utf-8") == text, name


def test_schema_of_today_keeps_every_field_of_the_first_version():
    for name in ("Sample", "View", "Tensor", "Batch", "Annotation", "Duplicate", "Influence",
                 "Percentile", "Score", "ToFilter", "FromFilter", "Hello", "Welcome", "Put", "Ack",
                 "Fault", "Fetch", "Records", "Commit", "Committed", "Reject", "Error"):
        new = getattr(today(), name).DESCRIPTOR.fields_by_number
        for number, field in getattr(first(), name).DESCRIPTOR.fields_by_number.items():
            assert number in new, f"{name}.{field.name} is gone"
            assert new[number].name == field.name and new[number].type == field.type, field.full_name


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in golden(today()).items():
        (folder / name).write_bytes(data)
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    print(f"{len(list(folder.glob('*.*')))} files in {folder}")


def main():
    if missing():
        print(f"SKIP wire_golden_test: {missing()}")
        return 77
    if len(sys.argv) == 3 and sys.argv[1] == "--write":
        write(pathlib.Path(sys.argv[2]))
        return 0
    failed = 0
    for name, test in sorted(globals().items()):
        if name.startswith("test_"):
            try:
                test()
                print(f"ok   {name}")
            except Exception as error:  # one that fails must not hide the others
                failed += 1
                print(f"FAIL {name}: {type(error).__name__} {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

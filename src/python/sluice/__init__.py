"""Clients of the Sluice data filter.

    with Producer("tcp://127.0.0.1:5570", "crawler") as producer:
        producer.send(id="a1", source="web", text="the quick brown fox")

    with Consumer("tcp://127.0.0.1:5571", "train") as consumer:
        for sample in consumer:
            train(sample.payload)
            consumer.commit()
"""

try:
    from sluice.v1.annotation_pb2 import Annotation
    from sluice.v1.sample_pb2 import Batch, Sample
except ModuleNotFoundError as missing:
    if not (missing.name or "").startswith("sluice"):
        raise
    raise ImportError("the protobuf code of the package `sluice` is not made yet: run src/python/generate.sh") from missing

from sluice.errors import Fenced, Forgotten, LeaseLost, OffsetGone, Refused, SluiceError, Timeout
from sluice.consumer import Consumer
from sluice.producer import Counts, Producer, make_sample

__all__ = ["Annotation", "Batch", "Consumer", "Counts", "Fenced", "Forgotten", "LeaseLost", "OffsetGone", "Producer",
           "Refused", "Sample", "SluiceError", "Timeout", "make_sample"]

"""encoders.py - views of texts by an encoder of yours, with augmentations.

An encoder is any callable from a list of texts to as many rows of numbers: SentenceTransformer(...).encode, a function around an
API. It is called once a batch of texts, with the augmentations in the same call.

    encode = TextViews(SentenceTransformer("all-MiniLM-L6-v2").encode, "all-MiniLM-L6-v2@1")
    for text, fields in zip(texts, encode(texts)):
        producer.send(id=..., text=text, **fields)
"""

import random
import struct
import zlib

from sluice.v1.sample_pb2 import Tensor, View


def drop_words(words, share, draw):
    """Leaves each word out with probability `share`, but never all of them."""
    always = draw.randrange(len(words))
    return [word for i, word in enumerate(words) if draw.random() >= share or i == always]


def crop_words(words, share, draw):
    """So many of the words, in a row."""
    n = max(1, round(share * len(words)))
    begin = draw.randrange(len(words) - n + 1)
    return words[begin:begin + n]


def augment(text, seed=0):
    """A text without 15 % of its words, and 70 % of them in a row: always the same ones for the same text and seed."""
    draw = random.Random(zlib.crc32(text.encode()) + (seed << 32))
    words, glue = text.split(), " "
    if len(words) < 4 and len(text) > 8:  # a script without spaces
        words, glue = list(text), ""
    if not words:
        return [text, text]
    return [glue.join(drop_words(words, 0.15, draw)), glue.join(crop_words(words, 0.7, draw))]


def view(row, augmentation=""):
    """A View of one embedding, as float16."""
    values = row.tolist() if hasattr(row, "tolist") else list(row)
    tensor = Tensor(type=Tensor.TYPE_F16, shape=[len(values)], data=struct.pack(f"<{len(values)}e", *values))
    return View(embedding=tensor, augmentation=augmentation)


class TextViews:
    """Three views of each text: as it is, without some words, a part of it.

    encode   list of texts -> rows of equal length
    name     of the encoder and its version, "name@version": numbers of two versions do not compare, so a new version needs a new name
    Gives for each text the fields `encoder` and `views` of a Sample, for Producer.send(..., **fields) or make_sample.
    """

    AUGMENTATIONS = ("", "words 85 %", "crop 70 %")

    def __init__(self, encode, name, seed=0):
        self.encode, self.name, self.seed = encode, name, seed

    def __call__(self, texts):
        flat = [version for text in texts for version in (text, *augment(text, self.seed))]
        rows = list(self.encode(flat))
        if len(rows) != len(flat):
            raise ValueError(f"the encoder gave {len(rows)} rows for {len(flat)} texts")
        views = [view(row, self.AUGMENTATIONS[i % 3]) for i, row in enumerate(rows)]
        return [{"encoder": self.name, "views": views[i:i + 3]} for i in range(0, len(views), 3)]

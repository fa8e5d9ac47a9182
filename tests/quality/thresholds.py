"""thresholds.py - what a cosine means to encoders of several kinds, and whether the filter finds its duplicates there.

    python3 tests/quality/thresholds.py embed FOLDER    makes the vectors: fetches models from Maven Central with `mvn`, and
                                                        needs onnxruntime and tokenizers of PyPI; about half an hour of a core
    python3 tests/quality/thresholds.py FOLDER [--write]

Texts of the evaluation data, cut at 128 tokens: E5 with "query: " before them and the mean of the tokens, BGE by its first
token; MiniLM is part of the data. The table, a line an encoder:

    random, random_999      cosine of two random texts of all packs, median and 99.9 % quantile
    articles, licences      labelled duplicates: their median cosine; what `sluice check --calibrate` proposes for them, its F1, and
                            the best F1 of any threshold by an independent sweep; the threshold of precision .99 and its recall
    mrpc                    proposed for paraphrases, its precision, and the share of positives: paraphrase is no duplicate

and, of all texts in random order through `sluice filter --views` at thresholds in that range, beside brute force:

    recall, band            of samples with a kept one at the threshold; of those whose nearest is within .01 of it
    false, capped           accepted below the threshold; probes that had more candidates than are compared
    beyond_first            share of kept rows that pass the first 64 sign bits: what the scan reads beyond its first word"""

import csv
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import numpy

import encoders
import rare

TABLE = pathlib.Path(__file__).with_name("thresholds.csv")
PACKS = ("headlines-en-hourly-a", "reuters21578-a", "debian-desc-en-a", "20news-a", "article-extractions", "spdx-licences")
# name: artifact of dev.langchain4j, what stands before a text, tokens that are averaged
MODELS = {"e5-small-v2": ("embeddings-e5-small-v2-q", "query: ", None), "bge-small-en-v1.5": ("embeddings-bge-small-en-v15-q", "", 1)}
VERSION = "0.36.2"
N_TOKENS = 128


# ---- vectors

def identities(pack):
    return (rare.DATA / "embeddings" / f"minilm384-{pack}.ids.txt").read_text().splitlines()


def texts(pack):
    path = next(rare.DATA.glob(f"*/{pack}.jsonl.zst"))
    lines = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout.split(b"\n")
    by_id = {o["id"]: o["text"] for o in map(json.loads, filter(None, lines))}
    return [by_id[i] for i in identities(pack)]


def fetch(artifact, folder):
    path = folder / f"langchain4j-{artifact}-{VERSION}.jar"
    if not path.exists():
        subprocess.run(["mvn", "-q", "-B", "dependency:copy", f"-Dartifact=dev.langchain4j:langchain4j-{artifact}:{VERSION}",
                        f"-DoutputDirectory={folder}"], check=True, stdout=sys.stderr)
    return zipfile.ZipFile(path)


class Encoder:
    def __init__(self, name, folder):
        import onnxruntime
        import tokenizers
        artifact, self.prefix, self.n_pooled = MODELS[name]
        jar = fetch(artifact, folder)
        inside = {pathlib.PurePath(member).suffix: jar.read(member) for member in jar.namelist() if member.endswith((".onnx", ".json"))}
        self.tokenizer = tokenizers.Tokenizer.from_str(inside[".json"].decode())
        self.tokenizer.enable_truncation(N_TOKENS)
        self.tokenizer.enable_padding()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(inside[".onnx"], options, providers=["CPUExecutionProvider"])

    def encode(self, batch):
        encoded = self.tokenizer.encode_batch([self.prefix + text for text in batch])
        mask = numpy.array([e.attention_mask for e in encoded], "i8")
        given = {"input_ids": numpy.array([e.ids for e in encoded], "i8"), "attention_mask": mask, "token_type_ids": 0 * mask}
        names = [one.name for one in self.session.get_inputs()]
        hidden = self.session.run(None, {name: given[name] for name in names})[0]
        mask = mask[:, :self.n_pooled, None]
        return rare.unit((hidden[:, :self.n_pooled] * mask).sum(1) / mask.sum(1))


def embed(folder):
    folder.mkdir(exist_ok=True)
    for name in MODELS:
        encoder = Encoder(name, folder)
        for pack in ("article-extractions", "spdx-licences", "mrpc-train", *PACKS):
            path = folder / f"{name}-{pack}.npy"
            if path.exists():
                continue
            all_texts = [text[:4000] for text in texts(pack)]
            rows = numpy.empty((len(all_texts), 384), "f4")
            by_length = sorted(range(len(all_texts)), key=lambda i: len(all_texts[i]))
            for begin in range(0, len(all_texts), 16):
                chosen = by_length[begin:begin + 16]
                rows[chosen] = encoder.encode([all_texts[i] for i in chosen])
            numpy.save(path, rows)
            print(path, file=sys.stderr, flush=True)


if __name__ == "__main__" and sys.argv[1:2] == ["embed"]:
    embed(pathlib.Path(sys.argv[2]))

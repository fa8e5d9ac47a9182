"""thresholds.py - what a cosine means to encoders of several kinds, and whether the filter finds its duplicates there.

    python3 tests/quality/thresholds.py embed FOLDER    makes the vectors: fetches models from Maven Central with `mvn`, and
                                                        needs onnxruntime and tokenizers of PyPI; about half an hour of a core
    python3 tests/quality/thresholds.py FOLDER [--write]

Texts of the evaluation data, cut at 128 tokens: E5 with "query: " before them and the mean of the tokens, BGE by its first
token; MiniLM is part of the data.

    random, random_999      cosine of two random texts of all packs: median, and what one pair in 1,000 exceeds
    articles, f1, best_f1   what `sluice check --calibrate` proposes for labelled duplicates (article-extractions), its F1, and the
                            best F1 of any threshold by an independent sweep
    precise, found          its threshold of precision .99, and the recall there
    mrpc, mrpc_precision    proposed for labelled paraphrases, which are no duplicates; of its pairs 68 % are positive

and, of all texts in random order through `sluice filter --views` at `articles` and at `precise`, beside brute force:

    kept                    at that threshold, of 30,011
    recall, band            of samples with a kept one at the threshold; of those whose nearest is within .01 of it
    false                   dropped for a kept one below the threshold

Lines `less mean`: the same for unit vectors less the mean of 2,000 of them (`check --calibrate --mean` writes such a mean)."""

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


# ---- the table

def vectors(name, pack, folder):
    if name == "all-MiniLM-L6-v2":
        return rare.pack(f"minilm384-{pack}").astype("f4")
    return rare.unit(numpy.load(folder / f"{name}-{pack}.npy"))


def calibrate(rows, pack, kind, scratch):
    numpy.save(scratch / "v.npy", rows)
    words = [rare.SLUICE, "check", "--json", "--calibrate", next(rare.DATA.glob(f"*/{pack}.{kind}.tsv")), "--views", scratch / "v.npy",
             "--ids", rare.DATA / "embeddings" / f"minilm384-{pack}.ids.txt"]
    return json.loads(subprocess.run(words, capture_output=True, check=True).stdout)


def best_f1(rows, pack):
    """Of all thresholds: every pair of two rows, sorted by cosine."""
    lines = next(rare.DATA.glob(f"*/{pack}.groups.tsv")).read_text().splitlines()
    group = dict(line.split("\t")[:2] for line in lines)
    group = numpy.unique([group[i] for i in identities(pack)], return_inverse=True)[1]
    i, j = numpy.triu_indices(len(rows), 1)
    order = numpy.argsort(-(rows @ rows.T)[i, j], kind="stable")
    same = (group[i] == group[j])[order]
    right = numpy.cumsum(same)
    return float((2 * right / (numpy.arange(1, len(right) + 1) + right[-1])).max())


def filtered(rows, threshold, scratch):
    """What the filter names for each row, by number; -1 = kept."""
    numpy.save(scratch / "v.npy", rows)
    with open(scratch / "in.jsonl", "w") as file:
        for i in range(len(rows)):
            file.write(json.dumps({"id": str(i), "text": " ".join(f"w{i}x{k}" for k in range(5))}) + "\n")
    subprocess.run([rare.SLUICE, "filter", "--set", "influence.enabled=false", "--set", f"duplicate.embedding.threshold={threshold}",
                    "--views", scratch / "v.npy", "--verdicts", scratch / "verdicts", "-o", os.devnull, scratch / "in.jsonl"],
                   check=True, stderr=subprocess.DEVNULL)
    found = [json.loads(line)["duplicate"] for line in open(scratch / "verdicts")]
    return numpy.array([-1 if one is None else int(one["of"]) for one in found])


def beside_brute_force(rows, threshold, scratch):
    of = filtered(rows, threshold, scratch)
    kept = numpy.flatnonzero(of < 0)
    nearest = numpy.full(len(rows), -1.0)
    for begin in range(0, len(rows), 1024):
        cosine = rows[begin:begin + 1024] @ rows[kept].T
        cosine[kept[None] >= numpy.arange(begin, begin + len(cosine))[:, None]] = -1  # not there yet
        nearest[begin:begin + 1024] = cosine.max(1)
    due = nearest >= threshold + 4e-5  # what rounding may miss is left out
    band = due & (nearest < threshold + 0.01)
    hit = numpy.flatnonzero(of >= 0)
    cosine = numpy.einsum("ij,ij->i", rows[hit].astype("f8"), rows[of[hit]].astype("f8"))
    return {"kept": len(kept), "recall": (of[due] >= 0).mean(), "band": (of[band] >= 0).mean(), "false": int((cosine < threshold - 1e-6).sum())}


def line(name, less_mean, folder, scratch):
    every = numpy.concatenate([vectors(name, pack, folder) for pack in PACKS])
    every = every[numpy.random.default_rng(1).permutation(len(every))]
    mean = every[:2000].mean(0) if less_mean else numpy.zeros(every.shape[1])
    every = rare.unit(every - mean).astype("f4")
    articles, mrpc = (rare.unit(vectors(name, pack, folder) - mean).astype("f4") for pack in ("article-extractions", "mrpc-train"))
    i, j = numpy.random.default_rng(0).integers(0, len(every), (2, 400000))
    random = numpy.einsum("ij,ij->i", every[i], every[j])[i != j]
    said, paraphrases = calibrate(articles, "article-extractions", "groups", scratch), calibrate(mrpc, "mrpc-train", "pairs", scratch)
    row = {"encoder": name + " less mean" * less_mean, "random": float(numpy.median(random)), "random_999": float(numpy.quantile(random, .999)),
           "articles": said["proposed"]["threshold"], "f1": said["proposed"]["f1"], "best_f1": best_f1(articles, "article-extractions"),
           "precise": said["precise"]["threshold"], "found": said["precise"]["recall"],
           "mrpc": paraphrases["proposed"]["threshold"], "mrpc_precision": paraphrases["proposed"]["precision"]}
    for at in ("articles", "precise"):
        row.update({f"{key}_{at}": value for key, value in beside_brute_force(every, row[at], scratch).items()})
    return {key: f"{value:.4f}" if isinstance(value, float) else value for key, value in row.items()}


def rows_of(folder):
    with tempfile.TemporaryDirectory() as scratch:
        return [line(name, less_mean, folder, pathlib.Path(scratch))
                for name in ("all-MiniLM-L6-v2", *MODELS) for less_mean in (False, True)]


if __name__ == "__main__" and sys.argv[1:2] == ["embed"]:
    embed(pathlib.Path(sys.argv[2]))
elif __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    table = rows_of(pathlib.Path(sys.argv[1]))
    out = io.StringIO()
    writer = csv.DictWriter(out, table[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    print(out.getvalue(), end="")
    if "--write" in sys.argv:
        TABLE.write_text(out.getvalue())

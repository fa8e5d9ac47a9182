"""measure.py - the table of tests/quality: precision, recall, F1 by pack, and the exact judge.

    tests/quality/measure.py            prints the table, and how it differs from the one kept
    tests/quality/measure.py --write    writes tests/quality/text.csv

Streaming definitions: an arriving sample is compared with kept ones only. A true duplicate is a sample
with an earlier labelled mate. A flag is correct if the kept sample that it names is a labelled mate.
precision = correct / flagged, recall = correct / true duplicates."""

import collections
import csv
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = pathlib.Path(os.environ.get("SLUICE_DATA", ROOT.parent / "shared" / "data"))
BUILD = pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build" / "release"))
TABLE = ROOT / "tests" / "quality" / "text.csv"

# pack, its truth, the profile named for its material, more settings, the best peer's F1 at its best setting
# (datasketch 2.0 or rensa 0.5 over shingles w1 w2 w3 w5 c5 and thresholds .4 to .8, same definitions), and the ceiling:
# the best F1 of exact unweighted Jaccard over all shingles and thresholds, chosen on the pack (manpages-zh: with
# Traditional folded to Simplified, .551 without; codefix-small: .715 with punctuation as units).
# Two packs need more than a profile: cora is typed by hand (pairs of characters forgive what words do not), and mates of
# abt-buy share a third of their words at best.
PACKS = [
    ("text-labelled/article-extractions", "groups", "prose", [], 0.975, 0.985),
    ("text-labelled/spdx-licences", "groups", "legal", [], 0.539, 0.907),
    ("text-labelled/ndd-r8", "groups", "news", [], 1.000, 1.000),
    ("text-catalogue/debian-desc-en-a", "groups", "prose", [], 0.769, 0.772),
    ("text-catalogue/cora", "pairs", "records", ["duplicate.text.shingle=c2", "duplicate.text.threshold=0.51"], 0.922, 0.914),
    ("text-catalogue/dblp-acm", "pairs", "records", [], 0.890, 0.896),
    ("text-catalogue/abt-buy", "pairs", "records", ["duplicate.text.threshold=0.3"], 0.038, 0.049),
    ("text-labelled/codefix-small", "pairs", "code", [], 0.689, 0.700),
    ("stream/peru-headlines-a", "groups", "news", [], 0.934, 0.938),
    ("stream/chile-rss-a", "groups", "news", [], 0.727, 0.727),
    ("cjk/tang-two-editions-zh", "pairs", "cjk", [], 0.807, 0.812),
    ("cjk/manpages-zh", "pairs", "pages", [], 0.466, 0.916),
    ("cjk/debian-desc-ja", "groups", "cjk", [], 0.552, 0.571),
]
FIELDS = ["pack", "profile", "samples", "true", "flagged", "correct", "precision", "recall", "f1", "peer_f1",
          "shortfall", "ceiling_f1", "numbers", "slot", "exact_recall", "exact_precision", "borderline", "uncovered"]


def mates_of(pack, truth):
    """id -> ids of its labelled mates."""
    mates = collections.defaultdict(set)
    rows = [line.split("\t") for line in (DATA / f"{pack}.{truth}.tsv").read_text().split("\n") if line]
    if truth == "pairs":
        for row in rows:
            mates[row[0]].add(row[1])
            mates[row[1]].add(row[0])
        return mates
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row[1]].append(row[0])
    for members in groups.values():
        for member in members:
            mates[member].update(other for other in members if other != member)
    return mates


def measure(pack, truth, profile, settings, peer, ceiling):
    """One row of the table."""
    path = str(DATA / f"{pack}.jsonl.zst")
    words = [word for key in [f"duplicate.text.profile={profile}", *settings] for word in ("--set", key)]
    with tempfile.TemporaryDirectory() as folder:
        verdicts = pathlib.Path(folder) / "verdicts"
        subprocess.run([BUILD / "sluice", "filter", *words, "--verdicts", verdicts, "-o", os.devnull, path],
                       check=True, stderr=subprocess.DEVNULL)
        records = [json.loads(line) for line in verdicts.read_text().split("\n") if line]
    mates = mates_of(pack, truth)
    seen, true, flagged, correct = set(), 0, 0, 0
    differs = collections.Counter()
    for record in records:
        true += not mates[record["id"]].isdisjoint(seen)
        if record["duplicate"] is not None:
            flagged += 1
            differs[record["duplicate"].get("differs")] += 1
            correct += record["duplicate"]["of"] in mates[record["id"]]
        seen.add(record["id"])
    plain = [*words, "--set", "duplicate.text.weights=false"]  # exact sets know no weights
    exact = json.loads(subprocess.run([BUILD / "tests" / "exact", *plain, path], check=True, capture_output=True).stdout)
    precision, recall = correct / max(flagged, 1), correct / max(true, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return dict(zip(FIELDS, [
        pack.split("/")[1], profile, len(records), true, flagged, correct, f"{precision:.3f}", f"{recall:.3f}",
        f"{f1:.3f}", f"{peer:.3f}", f"{max(0.0, peer - round(f1, 3)):.3f}", f"{ceiling:.3f}",
        differs["numbers"], differs["slot"], f"{exact['recall']:.4f}",
        f"{exact['precision']:.4f}", exact["borderline"], exact["uncovered"]]))


def rows():
    for pack, truth, profile, settings, peer, ceiling in PACKS:
        yield measure(pack, truth, profile, settings, peer, ceiling)
    for pack, truth, _, _, peer, ceiling in PACKS:
        yield measure(pack, truth, "auto", [], peer, ceiling)


def mean_loss_of_auto(table):
    """Against the best that is known of each pack: the named profile or the best peer."""
    best = {row["pack"]: max(float(row["f1"]), float(row["peer_f1"])) for row in table if row["profile"] != "auto"}
    losses = [max(0.0, best[row["pack"]] - float(row["f1"])) for row in table if row["profile"] == "auto"]
    return sum(losses) / len(losses)


def as_text(table):
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue()


def main():
    table = list(rows())
    text = as_text(table)
    print(text)
    print(f"mean loss of auto: {mean_loss_of_auto(table):.4f}")
    past = [row["pack"] for row in table if row["profile"] != "auto" and float(row["f1"]) > float(row["ceiling_f1"])]
    print(f"past the exact unweighted ceiling: {', '.join(past)}")
    if "--write" in sys.argv:
        TABLE.write_text(text)


if __name__ == "__main__":
    main()

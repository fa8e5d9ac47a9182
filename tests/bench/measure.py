"""measure.py - runs every benchmark beside its peers and writes RESULTS.md.

usage: build/bench-venv/bin/python tests/bench/measure.py BUILD [OUT]

Called by run.sh. One thing at a time; what has one thread is pinned to one core. The tables are the
words of the benchmarks themselves; the figures that were asked for stand first.
"""
import datetime
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import tempfile

import run_memory
import run_path
import run_watched

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DATA = os.environ.get("SLUICE_DATA") or os.path.join(ROOT, "../shared/data")
MIB = 1 << 20
ENGLISH = {"article-extractions", "reuters21578-a", "debian-descriptions", "spdx-licences"}
KERNEL_NOTE = "this processor has no AVX-512"


class Results:
    """Sections in order, and the figures asked for with what was measured."""

    def __init__(self):
        self.asked, self.sections = [], []

    def ask(self, what, target, measured, unit="", least=True, note=""):
        """`measured` None: not measured here."""
        if measured is None:
            verdict, shown = "not measured", "-"
        else:
            met = measured >= target if least else measured <= target
            missed = 0 if met else abs(measured - target) / target
            verdict = "met" if met else f"MISSED by {missed:.0%}" if missed < 1 else f"MISSED: {missed + 1:.1f} x"
            shown = f"{measured:,.4g} {unit}" if measured < 1000 else f"{measured:,.0f} {unit}"
        sign = ">=" if least else "<="
        self.asked.append((what, f"{sign} {target:,.10g} {unit}", shown, verdict, note))

    def add(self, title, command, lines, text=""):
        self.sections.append((title, command, lines, text))
        print(f"== {title}", *lines, sep="\n", flush=True)

    def write(self, path, head):
        out = ["# Measurements", "", *head, "", "## Asked and measured", "",
               "| what | asked | measured | | remark |", "|---|---|---|---|---|"]
        out += ["| " + " | ".join(part.strip() for part in row) + " |" for row in self.asked]
        for title, command, lines, text in self.sections:
            out += ["", f"## {title}", ""]
            out += [text, ""] if text else []
            out += [f"`{command}`", "", "```", *lines, "```"]
        with open(path, "w") as file:
            file.write("\n".join(out) + "\n")


def output_of(*words, check=True):
    done = subprocess.run([str(word) for word in words], check=check, stdout=subprocess.PIPE, text=True)
    return done.stdout.rstrip("\n").split("\n")


def first_line(*words):
    try:
        return output_of(*words)[0]
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine(build):
    cpu = dict(line.split(":", 1) for line in output_of("lscpu") if ":" in line)
    cpu = {key.strip(): value.strip() for key, value in cpu.items()}
    flags = " ".join(flag for flag in ("avx2", "avx512bw", "avx512vbmi") if flag in cpu.get("Flags", ""))
    memory = re.search(r"MemTotal:\s+(\d+)", open("/proc/meminfo").read()).group(1)
    changed = output_of("git", "-C", ROOT, "status", "--porcelain", "--", "src", "include", "proto", check=False)
    return [
        f"- date: {datetime.date.today()}, commit {first_line('git', '-C', ROOT, 'rev-parse', '--short', 'HEAD')}"
        + (" with changes in src not committed" if any(changed) else ""),
        f"- machine: {cpu.get('Model name')}, {os.cpu_count()} cores, {flags or 'no AVX'}, "
        f"L2 {cpu.get('L2 cache')}, L3 {cpu.get('L3 cache')}, {int(memory) // 1024:,} MiB"
        + (f", virtual ({cpu['Hypervisor vendor']})" if "Hypervisor vendor" in cpu else ""),
        f"- system: {platform.system()} {platform.release()}, {first_line('gcc', '--version')}, preset release",
        f"- file system of the state: {first_line('findmnt', '-n', '-o', 'FSTYPE', '-T', build)}, "
        f"load of the machine before: {os.getloadavg()[0]:.2f}",
        "- peers: " + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in
                                ("rensa", "datasketch", "faiss-cpu", "numpy")) + f", Python {platform.python_version()}",
        "- one run, one thing at a time; written by `tests/run.sh bench`. Ratios hold for one run only.",
    ]


# --- text to sketch, hashes to sketch ---

def measure_sketch(results, build):
    script, bench = os.path.join(HERE, "peers_sketch.py"), os.path.join(build, "tests/bench_features_sketch")
    lines = output_of(sys.executable, script, bench, 0)
    results.add("Text to sketch, hashes to sketch", "tests/bench/peers_sketch.py build/release/tests/"
                "bench_features_sketch 0", lines, "One core; processor time, best of the repetitions for "
                "everybody. w5: word 5-grams as the peers have them; auto: the default.")
    speeds = {True: [], False: []}
    ratios = []
    for line in lines:
        found = re.match(r"text (\S+) +\S+ +([\d.]+) MB/s.*rensa +([\d.]+) x", line)
        if found:
            speeds[found[1] in ENGLISH].append(float(found[2]))
            ratios += [float(found[3])] if found[1] in ENGLISH else []
    results.ask("raw text to sketch, English, a core", 250, min(speeds[True], default=None), "MB/s",
                note="slowest pack and setting")
    results.ask("the same beside rensa", 9, min(ratios, default=None), "x")
    results.ask("raw text to sketch, Chinese and Japanese, a core", 100, min(speeds[False], default=None), "MB/s",
                note="slowest pack and setting")
    ask_hashes(results, lines)


def ask_hashes(results, lines):
    by_kernel = {}
    for line in lines:
        found = re.match(r"hashes +(\d+) (\S+) .*rensa +([\d.]+) x", line)
        if found:
            by_kernel.setdefault(found[2], []).append(float(found[3]))
    best = min(by_kernel.get("avx512", by_kernel.get("avx2", by_kernel.get("ref", []))), default=None)
    results.ask("ready hashes to sketch, 100 to 4,000, beside rensa", 1.3, best, "x",
                note="" if "avx512" in by_kernel else KERNEL_NOTE)
    if "avx512" in by_kernel:
        results.ask("the same with the AVX2 kernel", 1.3, min(by_kernel["avx2"]), "x",
                    note="what a processor without AVX-512 gets")
    if "avx2" in by_kernel:
        results.ask("the same with the portable code", 1.3, min(by_kernel["ref"]), "x",
                    note="what a processor without AVX2 gets")
    errors = [re.match(r"error +\d+ ours ([\d.]+) +rensa ([\d.]+)", line) for line in lines]
    worst = max((float(found[1]) / float(found[2]) for found in errors if found), default=None)
    results.ask("error of the estimate beside rensa's", 1.03, worst, "x", least=False,
                note="4,000 pairs: 1.03 is two standard errors of equal ones")


# --- the index ---

def measure_index(results, build):
    script, bench = os.path.join(HERE, "peers_index.py"), os.path.join(build, "tests/bench_duplicate_index")
    lines = output_of(sys.executable, script, "--bench", bench, "--core", os.cpu_count() - 1)
    results.add("Query + insert + verify beside the peers", "tests/bench/peers_index.py --bench build/release/"
                "tests/bench_duplicate_index", lines, "The same shingle sets for everybody, signatures "
                "ready-made, one core, keep-first at Jaccard .8. Ours: five rounds before the peers and five "
                "after, the first of each on memory never touched; the median of all ten counts, of the "
                "peers the best.")
    ours = sorted(float(found[1]) * 1e3 for found in
                  (re.search(r"index/texts .* ([\d.]+) M/s", line) for line in lines) if found)
    peers = {}
    for line in lines:
        found = re.match(r"peers_index/(\S+) .* ([\d.]+) k/s .*recall ([\d.]+)", line)
        if found:
            peers[found[1]] = (float(found[2]), float(found[3]))
    rensa = [value for name, value in peers.items() if name.startswith("rensa/16x8")]
    others = [value for name, value in peers.items() if name.startswith("datasketch")]
    recall = [float(found[1]) for found in (re.search(r"Sluice \d+, recall ([\d.]+)", line) for line in lines) if found]
    middle = ours[len(ours) // 2] if ours and rensa and others else None
    results.ask("query + insert + verify beside rensa, 16 bands", 3, middle and middle / max(rensa)[0], "x")
    results.ask("the same beside datasketch", 25, middle and middle / max(others)[0], "x",
                note="its faster setting; it finds less there")
    results.ask("recall beside the better of both", max(value[1] for value in rensa + others) if middle else 1,
                min(recall) if middle else None)


def measure_flat(results, build):
    bench = ["taskset", "-c", str(os.cpu_count() - 1), os.path.join(build, "tests/bench_duplicate_index")]
    free_mib = int(re.search(r"MemAvailable:\s+(\d+)", open("/proc/meminfo").read()).group(1)) // 1024
    lines = []
    sizes = ["1e5", "1e6", "1e7"] if free_mib > 7000 else ["1e5", "1e6"]
    for n in sizes:
        lines += output_of(*bench, "flat", n)
    lines += [] if free_mib > 7000 else [f"1e7: SKIPPED, it needs 7 GiB and {free_mib} MiB are free"]
    lines += output_of(*bench, "full", "1e6") + output_of(*bench, "copies", "1e6")
    lines += output_of(*bench, "forget", "1e6") + output_of(*bench, "restore", "1e6")
    results.add("The index from 1e5 to 1e7 documents", "bench_duplicate_index flat N; full, copies, forget, "
                "restore 1e6", lines, "median and p99 are of blocks of 1,000 samples; the p99 of `flat` is where "
                "memory is touched for the first time, `full` is measured behind that.")
    medians = [float(found[1]) for found in
               (re.search(r"index/text/.* median (\d+) ns", line) for line in lines) if found]
    results.ask("time a document at 1e7 beside 1e5", 2, medians[-1] / medians[0] if len(sizes) == 3 else None, "x",
                least=False, note="medians of blocks")
    size = re.search(r"bytes +text ([\d.]+) a row", "\n".join(lines))
    results.ask("index memory a document, text, 16 bands", 320, float(size[1]) if size else None, "bytes", least=False)
    measure_rows(results, build)


def measure_rows(results, build):
    lines = []
    rows = {}
    for profile in ("auto", "news", "prose", "records", "code", "cjk", "pages", "legal"):
        words = ("check", "--json", "--set", f"duplicate.text.profile={profile}")
        found = json.loads("\n".join(output_of(os.path.join(build, "sluice"), *words)))
        text, exact = found["text"], found["exact"]
        rows[profile] = text["row_bytes"]
        lines.append(f"{profile:8} text {text['row_bytes']:6.1f} bytes a row   exact {exact['row_bytes']:6.1f} bytes a "
                     f"row   in the default budgets {text['rows']:,} and {exact['rows']:,}")
    results.add("What a row costs by profile", "sluice check --json --set duplicate.text.profile=P", lines,
                "With ids of 32 bytes and sources of 8; a row keeps both names. The looser the threshold, the more "
                "bands a profile needs, and a band is 6.4 bytes a row or more.")
    results.ask("the same in the profile `news`, ids of 32 bytes", 320, rows["news"], "bytes", least=False,
                note="rows hold id and source; bands by threshold")
    results.ask("the same in the default `auto`", 320, rows["auto"], "bytes", least=False,
                note="room for the loosest profile: its bands")


# --- influence ---

def measure_influence(results, build):
    bench, core = os.path.join(build, "tests/bench_influence_score"), str(os.cpu_count() - 1)
    lines = output_of("taskset", "-c", core, bench, "share") + output_of(bench, "refresh", 128, 384, 768)
    results.add("Influence: what scoring and learning cost", "bench_influence_score share; refresh 128 384 768", lines,
                "One core, K = 2, one reference, everything on. By BLAS: what OpenBLAS takes for as many flops of "
                "products with 256 rows. refresh: automatic ones of a young stream, in a thread beside.")
    for line in lines:
        share = re.search(r"score/d=(\d+): .*share of BLAS ([\d.]+)", line)
        stall = re.search(r"refresh/d=(\d+): .*p99 ([\d.]+) x", line)
        if share:
            results.ask(f"influence at d = {share[1]}, share of the speed of its products", 0.7, float(share[2]))
        if stall:
            results.ask(f"influence at d = {stall[1]}, p99 of a slice with refreshes beside to without", 2,
                        float(stall[2]), "x", least=False)
    python = os.path.join(ROOT, "build/influence-venv/bin/python")
    if not os.path.exists(python):
        results.ask("influence beside kronfluence's EK-FAC", 200, None, "x", note="kronfluence is not installed")
        return
    lines = output_of("taskset", "-c", core, python, os.path.join(HERE, "peers_influence.py"), bench)
    results.add("Influence beside kronfluence", "build/influence-venv/bin/python tests/bench/peers_influence.py "
                "build/release/tests/bench_influence_score", lines)
    beside = re.search(r"beside kronfluence (\d+) x", "\n".join(lines))
    results.ask("influence beside kronfluence's EK-FAC, samples a second", 200, float(beside[1]) if beside else None, "x")


def measure_images(results, build):
    script, bench = os.path.join(HERE, "peers_images.py"), os.path.join(build, "tests/bench_duplicate_images")
    lines = output_of(sys.executable, script, "--bench", bench, "--core", os.cpu_count() - 1, "--data", DATA)
    results.add("Image signatures: query + insert beside faiss", "tests/bench/peers_images.py --bench build/release/tests/"
                "bench_duplicate_images", lines, "1e6 signatures kept; half of the samples new, half right above the "
                "threshold, where an index misses first. One core; faiss in batches of 256, ours one at a time.")
    for threshold, profile in (("0.94", "copies, the default"), ("0.785", "alike")):
        at = next((i for i, line in enumerate(lines) if line.endswith(f"threshold {threshold}")), None)
        part = lines[at:] if at is not None else []
        ratio = next((float(line.split()[-1]) for line in part if "ratio to the best" in line), None)
        results.ask(f"image index at 1e6 beside faiss's best at equal recall, {profile}", 3, ratio, "x")
        floods = [float(found[1]) for found in
                  (re.search(r"flood of .* ([\d.]+) of the mixed", line) for line in part) if found][:3]
        results.ask(f"floods of one image and of flat ones beside mixed samples, {profile}", .5,
                    min(floods, default=None), "x")


def measure_embedding(results, build):
    script, bench = os.path.join(HERE, "peers_embedding.py"), os.path.join(build, "tests/bench_duplicate_embedding")
    with tempfile.NamedTemporaryFile() as file:
        lines = [line for line in output_of(sys.executable, script, "--bench", bench, "--data", DATA, "--core",
                                            str(os.cpu_count() - 1), "--json", file.name) if "WARNING" not in line]
        text = open(file.name).read()
    results.add("Embeddings beside hnswlib, faiss and usearch", "tests/bench/peers_embedding.py --bench "
                "build/release/tests/bench_duplicate_embedding", lines, "Rows a second of CPU time of one thread; "
                "query, and insert of what is kept, one at a time. `ratio`: sluice to the peer.")
    tables = json.loads(text) if text else []
    for table in tables:
        if table["set"] in ("real", "stress"):
            ours, *peers = table["results"][:-1]
            where = f"{table['set']}, {table['kept']:,} kept, cosine {table['threshold']}"
            for peer, least in zip(peers[:3], (20, 50, 10)):
                results.ask(f"embeddings beside {peer['name']}: {where}", least, peer["ratio"], "x",
                            note=f"recall {ours['recall']:.4f} to {peer['recall']:.4f}")
            results.ask(f"recall, {where}", .999, ours["recall"])
            results.ask(f"recall within .01 of the threshold, {where}", .995, ours["band"])
        elif table["set"] == "million":
            ours, *peers = table["results"]
            equal = [peer for peer in peers if peer["recall"] >= ours["recall"]] or peers[-1:]
            results.ask(f"a million embeddings beside {equal[0]['name']}", 25, equal[0]["ratio"], "x",
                        note=f"last tenth; recall {ours['recall']:.4f} to {equal[0]['recall']:.4f}")
            results.ask("recall at a million", .99, ours["recall"])
            results.ask("recall within .01 of the threshold at a million", .98, ours["band"])
        elif table["set"] == "flood":
            rates = [row["tail_samples_per_s"] for row in table["results"]]
            results.ask("a flood of copies beside real rows", .5, min(rates[1:3]) / rates[0], "x")


# --- the disk and the path ---

def measure_spool(results, build):
    lines = output_of(os.path.join(build, "tests/bench_spool_append"), build, 1)
    results.add("A durable commit beside a plain file", "bench_spool_append build/release 1", lines)


def measure_policy(results, build):
    lines = output_of("taskset", "-c", str(os.cpu_count() - 1), os.path.join(build, "tests/bench_decide_policy"))
    results.add("A policy", "bench_decide_policy", lines, "CPU time of rules, budget and counts; samples that lie in the cache.")
    speeds = dict(re.findall(r"policy/(\w+) .* ([\d.]+) M/s", "\n".join(lines)))
    results.ask("three rules, a core", 1_000_000, float(speeds["three_rules"]) * 1e6, "samples/s")
    results.ask("three rules with texts, a core", 1_000_000, float(speeds["three_texts"]) * 1e6, "samples/s")


def path_line(row):
    return (f"{row['start']:5} batch {row['batch']:5}  offered {row['rate'] or 'all':>6}/s   acknowledged "
            f"{row['acknowledged_per_s']:8.0f}/s (least {row['least_per_s']:.0f})   due -> read p50 "
            f"{row['p50_ms']:7.2f} p99 {row['p99_ms']:7.2f} ms (worst run {row['worst_p99_ms']:.2f})")


def measure_path(results, build):
    got = run_path.measure(build, build)
    lines = [path_line(row) for row in got["rates"]]
    for i, disk in enumerate(got["disk"]):
        lines.append(f"64 KiB written + fdatasync, {'behind' if i % 2 else 'before'} round {i // 2 + 1}: median "
                     f"{disk['median_ms']:.2f} ms, p99 {disk['p99_ms']:.2f} ms")
    results.add("The whole path: ZeroMQ in, durable, ZeroMQ out", "tests/bench/run_path.py build/release", lines,
                f"`sluice run` with its defaults; one producer and one consumer share its cores; texts of 1 KB, "
                f"medians of {run_path.ROUNDS} runs on fresh states. A latency is from the moment the first "
                "sample of a batch was due until the consumer has it. warm: after "
                f"{run_path.WARM_UP[0]:,} samples; cold: from the first sample of a fresh state on.")
    wanted = {(row["rate"], row["batch"]): row for row in got["rates"] if row["start"] == "warm"}
    cold = [row for row in got["rates"] if row["start"] == "cold"][0]
    results.ask("whole path, 1 KB texts, batches of 64", 100_000, wanted[0, 64]["acknowledged_per_s"], "samples/s")
    results.ask("whole path, batches of 1,000", 100_000, wanted[0, 1000]["acknowledged_per_s"], "samples/s")
    results.ask("whole path, batches of 1", 100_000, wanted[0, 1]["acknowledged_per_s"], "samples/s",
                note="a message a sample: six hand-overs between threads; task switches lead its profile")
    results.ask("p99 at 50,000 samples/s, batches of 64", 20, wanted[50_000, 64]["p99_ms"], "ms", least=False)
    results.ask("p99 at 50,000 samples/s, batches of 1,000", 20, wanted[50_000, 1000]["p99_ms"], "ms", least=False,
                note="a batch is one MB and passes every thread as a whole")
    results.ask("p99 at 50,000 samples/s, first three seconds of a fresh state", 20, cold["p99_ms"], "ms", least=False)
    add_proof(results, got)


def add_proof(results, got):
    if "order" not in got:
        results.add("Does an ACK wait for the disk?", "strace", ["SKIPPED: strace is not installed"])
        return
    order, delay = got["order"], got["delay"]
    lines = [
        f"{order['sent']} samples, one at a time: text written, fdatasync back, head written through O_DSYNC, ACK "
        f"sent, in this order: {order['sent'] - len(order['faults'])} of {order['sent']}"
        + ("" if order["opened_through"] else " (head NOT opened with O_DSYNC)"),
        *order["faults"],
        f"the same look at `spool.sync: os`, where it must not be so: {len(got['order_os']['faults'])} of "
        f"{got['order_os']['sent']} ACKs before an fdatasync",
        f"every fdatasync held up for {delay['delay_ms']} ms at 10,000 samples/s: least latency "
        f"{delay['plain']['min_ms']:.2f} -> {delay['delayed']['min_ms']:.2f} ms, p50 {delay['plain']['p50_ms']:.2f} -> "
        f"{delay['delayed']['p50_ms']:.2f} ms",
    ]
    results.add("Does an ACK wait for the disk?", "strace -f, inside tests/bench/run_path.py", lines,
                "What a flush means below that is the disk's matter: a virtual disk may keep it in the host's memory.")


def measure_watched(results, build):
    got = run_watched.measure(build, build)
    rate, cpu = got["samples_per_s"], got["cpu_us"]
    http, interval = got["http_cpu_us"], got["loss_interval"]
    lines = [f"nobody looks  {rate['plain']:8.0f} samples/s   {cpu['plain']:.2f} us of the filter a sample, HTTP thread {http['plain']:.4f}",
             f"watched       {rate['watched']:8.0f} samples/s   {cpu['watched']:.2f} us, HTTP thread {http['watched']:.4f}, "
             f"watchers {got['watchers_cpu_us']:.4f}; tap {got['tap_mb']:.2f} MB/s, slowest answer {got['scrape_ms']:.1f} ms",
             f"loss of speed {got['loss']:.2%} (95 %: {interval[0]:.2%} to {interval[1]:.2%}), by the clock of the wall",
             f"processor time of HTTP thread and watchers over the filter's: {got['share']:.2%}"]
    results.add("The path while somebody looks on", "tests/bench/run_watched.py build/release", lines,
                f"Medians of {got['pairs']} pairs of neighbouring bursts of a second, one of a pair watched: one tap of everything, "
                "/metrics once a second and an open page, from the same two cores. The row below is the worse of loss and share.")
    results.ask("speed that the stream loses to a tap, a scrape a second and an open page", 0.03, max(got["loss"], got["share"]),
                "", least=False)
    results.ask("processor time that they add to a sample", 0.03, max(got["cpu_more"], 0), "", least=False)


# --- memory ---

def memory_line(row):
    what = f"{row['bytes'] // row['received']} bytes each" if row["verb"] == "filter" else (
        f"batches of {row['batch']}, {row['producers']} producers")
    return (f"{row['verb']:6} {row['received']:>10,} documents, {what:28} budget {row['budget'] // MIB:4} MiB   "
            f"anonymous {row['anonymous'] / MIB:6.1f} MiB = budget {(row['anonymous'] - row['budget']) / MIB:+7.1f}   "
            f"file pages {row['file'] / MIB:7.1f} MiB")


def measure_mixed(results, build, n):
    """Texts, images and embeddings together: once with budgets of 1 GiB and a window, once ageing by memory."""
    windowed, small = run_memory.measure_mixed(build, build, n)
    lines = [f"{row['received']:,} samples, budget {row['budget'] // MIB} MiB: anonymous {row['anonymous'] / MIB:.1f} MiB; "
             + "; ".join(f"{name} {one['rows']:,} rows, {one['evicted']:,} evicted, recall "
                         f"{'-' if one['recall'] is None else round(one['recall'], 4)}"
                         for name, one in row["counters"].items() if one["rows"])
             for row in (windowed, small)]
    lines.append(f"window of {windowed['window']:,}: {windowed['found_inside']:,} of {windowed['inside']:,} near copies inside "
                 f"found, {windowed['found_outside']} of {windowed['outside']:,} outside; false findings {windowed['wrong']}")
    lines += [f"by memory, {kind}: {one['found']:,} found, the farthest {one['farthest_found']:,} back; {one['not_found']:,} "
              f"not, the nearest {one['nearest_not_found']}" for kind, one in small["reach"].items()]
    results.add("All kinds together", f"tests/bench/run_memory.py build/release build/release mixed {n}", lines,
                "Five texts to three JPEGs and two embeddings, every tenth sample a near copy.")
    for row in (windowed, small):
        results.ask(f"RSS of filter, all kinds, budget {row['budget'] // MIB} MiB", round(row["budget"] * 1.05 / MIB + 13, 1),
                    (row["anonymous"] + row["file"]) / MIB, "MiB", least=False,
                    note="asked: budget + 5 % + 2 MiB of its own + 11 MiB of program text")
    results.ask("near copies outside the window found, and false findings", 0,
                windowed["found_outside"] + windowed["wrong"] + small["wrong"], "samples", least=False)
    for kind, one in small["reach"].items():  # rows differ by the length of their names: 1 % is that
        results.ask(f"oldest first: {kind}, nearest not found beside the farthest found", .99,
                    one["nearest_not_found"] / one["farthest_found"], "x")
    results.ask("near copies inside the window found", .999, windowed["found_inside"] / windowed["inside"], "share")


def measure_memory(results, build, n):
    got = run_memory.measure(build, build, n)
    lines = [memory_line(row) for row in got["memory"]]
    results.add("Resident memory beside the budget", f"tests/bench/run_memory.py build/release build/release {n}",
                lines, "budget = duplicate.exact.memory + duplicate.text.memory. In `run`, file pages are the mapped "
                "log: the page cache, given back when anybody needs the room. What `run` needs beyond the budget: "
                "32 MiB, 776 bytes a sample of the messages in flight (64 messages of 4,096 at most: 194 MiB), and "
                "2 x their bytes (64 MiB at most).")
    full = [row for row in got["memory"] if row["received"] > n * 0.9]
    for row in full:
        allowed = row["budget"] * 1.05 + 8 * MIB
        results.ask(f"RSS of filter at {row['received']:,} documents, budget {row['budget'] // MIB} MiB",
                    round(allowed / MIB, 1), (row["anonymous"] + row["file"]) / MIB, "MiB", least=False,
                    note="asked: budget + 5 % + 8 MiB (2 of its own, 6 of program text)")
    default = sum(run_memory.DEFAULT) * MIB
    running = [row for row in got["memory"] if row["verb"] == "run" and row["budget"] == default][0]
    results.ask(f"anonymous memory of run at {running['received']:,} documents, budget {default // MIB} MiB",
                round(default * 1.05 / MIB + 32, 1), running["anonymous"] / MIB, "MiB", least=False,
                note="asked: budget + 5 % + 32 MiB")
    measure_mixed(results, build, n // 10)
    plain, copies = got["window"]
    lines = [f"{row['distinct']:,} distinct, {row['copies']:,} copies of the first: {row['dropped_in_stream']:,} "
             f"dropped, the newest {row['known']:,} texts are still known, {row['known_beyond']} beyond"
             for row in (plain, copies)]
    results.add("Copies of one text and the window", "bench_documents N COPIES N | sluice filter", lines,
                f"End to end, budget {plain['budget'] // MIB} MiB. The copied text has one row at a time; when that "
                "has aged out, the next copy is kept again: a representative is not refreshed.")
    results.ask("rows by which the copies shorten the window", 0, plain["known"] - copies["known"], "rows", least=False)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    build = os.path.abspath(sys.argv[1])
    results = Results()
    head = machine(build)
    if os.getloadavg()[0] > 0.7:
        head.append("- **Others were using the machine: wall-clock figures (path, commits, flat) are worse than they "
                    "can be.**")
    if not os.path.isdir(DATA):
        head.append("- **The evaluation data is not here (SLUICE_DATA): tests/data/text stands in.**")
    measure_path(results, build)
    measure_watched(results, build)
    measure_sketch(results, build)
    measure_index(results, build)
    measure_images(results, build)
    measure_embedding(results, build)
    measure_spool(results, build)
    measure_policy(results, build)
    measure_flat(results, build)
    measure_influence(results, build)
    measure_memory(results, build, int(float(os.environ.get("SLUICE_BENCH_DOCUMENTS", "1e7"))))
    results.write(sys.argv[2] if len(sys.argv) == 3 else os.path.join(HERE, "RESULTS.md"), head)


if __name__ == "__main__":
    main()

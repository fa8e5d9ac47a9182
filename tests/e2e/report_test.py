"""report_test.py - `sluice report` as one page: what it holds, its bounds, its periods, and how it looks in a real Chromium."""

import base64
import io
import json
import random
import re
import subprocess
import time

import pytest
from PIL import Image

from harness import SLUICE, Filter, Peer, Sample
from page_test import By, browser, in_browser, overflow, photo, words  # noqa: F401 (browser is a fixture)

CONFIG = """encoder: builtin
influence: {expert: {warmup: 512}, references: [{name: probe, source: river, samples: 50}]}
fairness: {group_by: attributes.region, min_samples: 100}
duplicate: {exact: {memory: 4MiB}, text: {memory: 8MiB}, image: {memory: 4MiB}}
policy:
  - {when: "duplicate", do: drop, reason: duplicate}
  - {when: "influence.self > 20", do: flag, reason: strong}
"""
HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1> \u202e"
LONG = "ü" * 3000


def rows_of(n, seed=7):
    rng, made = random.Random(seed), []
    for i in range(n):
        topic = ["river", "stone", "copper"][i % 3]
        text = words(rng, topic)
        if topic == "copper" and i > 50 and rng.random() < 0.4:
            text = made[i - 3 * rng.randrange(1, 9)]["text"] + " again"
        made.append({"id": f"{topic}-{seed}-{i}", "source": topic, "text": text, "region": ["north", "south"][i // 3 % 2]})
    return made


def feed(folder, state, rows, *inputs):
    """Each input by itself: they are of several formats."""
    (folder / "c.yaml").write_text(CONFIG)
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "verdicts.jsonl").write_text("")
    for input_ in (*inputs, folder / "in.jsonl"):
        done = subprocess.run([SLUICE, "filter", "-c", folder / "c.yaml", "--state", state, "-o", "/dev/null", "--verdicts", folder / "some.jsonl", input_],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        with open(folder / "verdicts.jsonl", "a") as all_:
            all_.write((folder / "some.jsonl").read_text())


def report(out, *words_):
    done = subprocess.run([SLUICE, "report", *map(str, words_), "-o", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = out.read_text()
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream")
    rows = rows_of(1500)
    rows[600:600] = [{"id": "h<1>", "source": "shop<b>", "text": HOSTILE + " " + LONG, "region": HOSTILE}, {"id": "h2", "source": "shop<b>", "text": HOSTILE + " x" + LONG}]
    pictures = folder / "pictures"
    pictures.mkdir()
    for quality in (90, 60):
        (pictures / f"{quality}.jpg").write_bytes(photo(quality))
    feed(folder, folder / "state", rows, pictures)
    return folder


def test_a_page_holds_what_the_log_has_within_its_bounds(stream, tmp_path):
    data = report(tmp_path / "r.html", "--state", stream / "state", "-c", stream / "c.yaml")
    assert (tmp_path / "r.html").stat().st_size < 2_000_000
    records = [json.loads(line) for line in (stream / "verdicts.jsonl").read_text().splitlines()]
    by_offset = {record["offset"]: record for record in records}
    duplicates = [record for record in records if record["duplicate"]]
    assert data["looked_at"] == len(records) == 1504 and data["payloads"]
    assert {of["method"]: of["n"] for of in data["similarity"]} == {
        method: sum(record["duplicate"]["method"] == method for record in duplicates) for method in ("exact", "text", "image", "embedding")}
    assert [sum(of["similarity"]) == of["n"] for of in data["similarity"]] == [True] * 4

    pairs = data["pairs"]
    assert len(pairs) == 20 and "image" in {pair["method"] for pair in pairs}
    for pair in pairs:
        sample, of = data["samples"][str(pair["sample"])], data["samples"][str(pair["of"])]
        assert sample["record"] == by_offset[pair["sample"]] and of["record"] == by_offset[pair["of"]]
        assert sample["record"]["duplicate"]["of"] == of["record"]["id"] and pair["similarity"] == pytest.approx(sample["record"]["duplicate"]["similarity"], abs=1e-6)
    alike = [pair["similarity"] for pair in pairs if pair["method"] == "text"]
    named = [record["duplicate"]["of"] for record in duplicates if record["duplicate"]["method"] == "text"]
    least = {}
    for record in duplicates:
        if record["duplicate"]["method"] == "text":
            least.setdefault(record["duplicate"]["of"], []).append(record["duplicate"]["similarity"])
    assert alike == pytest.approx(sorted(min(values) for values in least.values())[:len(alike)], abs=1e-6) and len(set(named)) > 20

    for top in data["tops"]:
        by, sign = top["by"], -1 if top["order"] == "desc" else 1
        value = lambda record: (record["influence"]["toward"] or {}).get(by[7:]) if by.startswith("toward.") else record["influence"][by]  # noqa: E731, B023
        exact = sorted(value(record) for record in records if record["influence"] and value(record) is not None)
        assert [v for v, _ in top["samples"]] == pytest.approx(sorted(exact, key=lambda v: sign * v)[:10], rel=1e-5), by
        assert all(value(by_offset[offset]) == pytest.approx(v, rel=1e-5) for v, offset in top["samples"])
    assert {(top["by"], top["order"]) for top in data["tops"]} >= {("self", "desc"), ("toward.probe", "asc"), ("leverage", "desc")}

    assert len(data["samples"]) <= 280
    for sample in data["samples"].values():
        assert sample["text"] is None or len(sample["text"]) <= 400
        if sample["thumbnail"]:
            picture = Image.open(io.BytesIO(base64.b64decode(sample["thumbnail"].removeprefix("data:image/png;base64,"), validate=True)))
            assert picture.format == "PNG" and max(picture.size) <= 96
    assert any(sample["text_is_cut"] and len(sample["text"]) == 400 for sample in data["samples"].values() if sample["text"])
    assert data["config"]["rules"][1]["when"] == "influence.self > 20" and data["config"]["thresholds"]["text"]
    assert data["portfolio"]["groups"]["by"] == "attributes.region" and len(data["portfolio"]["groups"]["rows"]) == 4


def test_without_a_configuration_thresholds_are_those_of_the_state_and_no_rule_is_made_up(stream, tmp_path):
    data = report(tmp_path / "r.html", "--state", stream / "state")
    assert data["config"]["rules"] == [] and data["config"]["thresholds"]["text"]
    assert report(tmp_path / "v.html", "--verdicts", stream / "verdicts.jsonl")["config"] is None


def test_records_show_what_they_have_and_say_that_payloads_are_not_there(stream, tmp_path):
    log = report(tmp_path / "r.html", "--state", stream / "state")
    data = report(tmp_path / "v.html", "--verdicts", stream / "verdicts.jsonl")
    assert not data["payloads"] and data["portfolio"]["groups"] is None
    assert [pair["sample"] for pair in data["pairs"]] == [pair["sample"] for pair in log["pairs"]] and data["similarity"] == log["similarity"]
    assert [[offset for _, offset in top["samples"]] for top in data["tops"]] == [[offset for _, offset in top["samples"]] for top in log["tops"]]
    assert {offset: sample["record"] for offset, sample in data["samples"].items()}.items() <= {o: s["record"] for o, s in log["samples"].items()}.items()
    assert all("text" not in sample for sample in data["samples"].values())


def test_a_bare_report_holds_names_and_numbers_and_nothing_that_was_sent(stream, tmp_path):
    whole = report(tmp_path / "r.html", "--state", stream / "state")
    data = report(tmp_path / "b.html", "--state", stream / "state", "--bare")
    assert "river1" in (tmp_path / "r.html").read_text() and not re.search(r"(river|copper)\d+ ", (tmp_path / "b.html").read_text())
    assert data["missing"] == "Made with --bare, without payloads" and data["tops"] == whole["tops"] and not any("text" in s for s in data["samples"].values())
    assert data["samples"] and data["samples"].keys() <= whole["samples"].keys() and data["portfolio"] == whole["portfolio"]


def test_a_period_by_time_ends_with_the_newest_sample_and_has_one_before_it(tmp_path):
    state = tmp_path / "state"
    for i, n in enumerate((400, 300, 200)):
        feed(tmp_path, state, [{**row, "source": f"feed {i}"} for row in rows_of(n, seed=20 + i)])
        time.sleep(0.2)
    whole = json.loads(subprocess.run([SLUICE, "report", "--state", state, "--json"], capture_output=True, text=True).stdout)
    first, last = ([row[edge] for row in whole["portfolio"]["sources"]] for edge in ("first_us", "last_us"))
    received = lambda part: part["total"]["received"]  # noqa: E731

    data = report(tmp_path / "r.html", "--state", state, "--last", f"{last[2] - first[2] + 1000}e-6s")  # from a moment before the third
    assert received(data["portfolio"]) == data["looked_at"] == 200 and "seconds, 200 samples" in data["period"]
    data = report(tmp_path / "r.html", "--state", state, "--last", f"{last[2] - first[1] + 1000}e-6s")  # ... the second; the first is before it
    assert received(data["portfolio"]) == 500 and data["beside"] == f"beside the period before: {received(data['before'])} samples"
    reaches = last[0] > first[1] - 1000 - (last[2] - first[1] + 1000)
    assert (received(data["before"]) > 0) == reaches and {row["source"] for row in data["before"]["sources"]} <= {"feed 0"}
    data = report(tmp_path / "r.html", "--state", state, "--last", "2h")
    assert (received(data["portfolio"]), received(data["before"]), data["period"]) == (900, 0, "the last 2 hours, 900 samples")
    assert data["portfolio"]["groups"]["rows"] == [{**row, "trend": got["trend"]} for row, got in zip(whole["portfolio"]["groups"]["rows"], data["portfolio"]["groups"]["rows"])]

    for words_, fault in ((("--state", state, "--last", "3"), "not understood"), (("--state", state, "--last", "-3s"), "not understood"),
                          (("--state", state, "--last", "3s", "--samples", "3"), "one of them"), (("--verdicts", tmp_path / "verdicts.jsonl", "--last", "3s"), "no time")):
        done = subprocess.run([SLUICE, "report", "--json", *words_], capture_output=True, text=True)
        assert done.returncode == 64 and fault in done.stderr, (words_, done.stderr)


def test_a_period_knows_the_alerts_of_the_stream_that_hold_in_it(tmp_path):
    """A period of 800 samples is too short to know what is usual; the stream is not. It repeats itself for 400 samples."""
    rng = random.Random(5)
    rows = [{"id": f"a{i}", "source": "a", "text": "the same again" if 2600 < i < 3000 and i % 2 else words(rng, "river")} for i in range(4000)]
    feed(tmp_path, tmp_path / "state", rows)
    seen = {}
    for name, more in (("whole", []), ("end", ["--samples", "700"]), ("middle", ["--samples", "1390"])):
        done = subprocess.run([SLUICE, "report", "--state", tmp_path / "state", "--json", *more], capture_output=True, text=True)
        seen[name] = json.loads(done.stdout)
    of = lambda part: [alert for alert in part["alerts"] if alert["kind"] == "duplicates"]  # noqa: E731
    alerts = of(seen["whole"]["portfolio"])
    assert alerts and all(2610 < alert["offset"] < 2800 < alert["cleared"] < 3300 for alert in alerts), alerts
    assert of(seen["end"]["portfolio"]) == [] and of(seen["end"]["before"]) == alerts  # over before it begins; and 2,600 to 3,300
    assert of(seen["middle"]["portfolio"]) == alerts and of(seen["middle"]["before"]) == alerts[:0]


DRAWN = """
    return [...document.querySelectorAll('canvas')].filter(c => c.checkVisibility()).map(c => {
        const at = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let n = 0;
        for (let i = 3; i < at.length; i += 4) { n += at[i] > 100; }
        return [c.id, n]; })"""


@in_browser
@pytest.mark.parametrize("width,dark", [(1400, False), (400, True)])
def test_every_plot_and_sample_is_drawn_and_nobody_is_asked(stream, browser, tmp_path, width, dark):
    report(tmp_path / "r.html", "--state", stream / "state", "-c", stream / "c.yaml")
    url = (tmp_path / "r.html").as_uri()
    browser.open(url, width, dark)
    browser.wait(lambda: browser.driver.find_elements(By.CSS_SELECTOR, "#top-list .text"), "samples")
    drawn = dict(browser.run(DRAWN))
    assert set(drawn) == {"curve-chart", *(f"histogram-{score}" for score in ("similarity", "loss", "self", "leverage", "toward.probe"))}
    assert all(n > 300 for n in drawn.values()), drawn
    lines = "return Chart.getChart(arguments[0]).options.plugins.lines.at.map(l => l.label)"
    assert browser.run(lines, "histogram-self") == ["flag 20"] and any(label.startswith("text 0.") for label in browser.run(lines, "histogram-similarity"))
    assert overflow(browser) == []
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, "#pair-list .pair")) == 20 and browser.driver.find_elements(By.CSS_SELECTOR, "#pair-list ins")
    assert browser.run("return [...document.images].map(i => [i.complete, i.naturalWidth > 0, Math.max(i.naturalWidth, i.naturalHeight) <= 96, i.src.slice(0, 22)])"
                       ".every(i => i[0] && i[1] && i[2] && i[3] === 'data:image/png;base64,')") and browser.run("return document.images.length") >= 2
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, "#top-list > li")) == len(browser.driver.find_elements(By.CSS_SELECTOR, "#rare-list > li")) == 10
    assert "20 shown" in browser.text("pairs-state") and "1,504 samples" in browser.text("top-note")
    assert not browser.get("pairs-again").is_displayed()
    assert browser.run("return window.hacked") is None and browser.faults() == []
    assert {address for address in browser.asked() if not address.startswith((url, "data:"))} == set()


@in_browser
def test_every_control_of_a_report_is_answered_by_what_it_holds(stream, browser, tmp_path):
    data = report(tmp_path / "r.html", "--state", stream / "state", "-c", stream / "c.yaml")
    browser.open((tmp_path / "r.html").as_uri())
    browser.wait(lambda: browser.driver.find_elements(By.CSS_SELECTOR, "#top-list .text"), "samples")
    first = lambda list_: float(browser.run("return document.querySelector(arguments[0] + ' strong').textContent.replaceAll(',', '')", list_))  # noqa: E731
    tops = {(top["by"], top["order"]): top["samples"] for top in data["tops"]}
    for by in ("self", "toward.probe", "loss"):
        browser.select("top-by", by)
        for order in ("desc", "asc"):
            browser.select("top-order", order)
            browser.wait(lambda: first("#top-list") == pytest.approx(tops[by, order][0][0], rel=0.01), (by, order))
    browser.select("rare-by", "source_shift")
    browser.wait(lambda: first("#rare-list") == pytest.approx(tops["source_shift", "desc"][0][0], rel=0.01), "shift")
    browser.select("pairs-method", "image")
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, "#pair-list .pair")) == 1
    browser.select("by", "group: attributes.region")
    received = browser.run("return Object.fromEntries([...document.querySelectorAll('#source-table tbody tr')].map(r => [r.cells[0].textContent, r.cells[1].textContent]))")
    assert received == {row["group"]: f"{row['received']:,}" for row in data["portfolio"]["groups"]["rows"]} and HOSTILE in received
    assert "north" in browser.text("matrix") and "copper" not in browser.text("matrix")
    assert browser.run("return window.hacked") is None and browser.faults() == []


@in_browser
def test_a_report_of_records_says_what_is_not_there(stream, browser, tmp_path):
    report(tmp_path / "v.html", "--verdicts", stream / "verdicts.jsonl")
    browser.open((tmp_path / "v.html").as_uri())
    browser.wait(lambda: browser.driver.find_elements(By.CSS_SELECTOR, "#top-list li"), "samples")
    assert "holds no payloads" in browser.text("top-note") and "No thresholds" in browser.text("scores-note")
    boxes = browser.run("return [...document.querySelectorAll('#pair-list .pair .columns > div')].map(e => e.textContent)")
    assert len(boxes) == 40 and all("not in this report" in box for box in boxes)
    assert browser.run("return [...document.querySelectorAll('#top-list > li')].every(e => e.textContent.includes('not in this report'))")
    assert not browser.get("by").is_displayed() and browser.faults() == []


@in_browser
def test_on_paper_it_is_light_and_whole(stream, browser, tmp_path):
    report(tmp_path / "r.html", "--state", stream / "state", "-c", stream / "c.yaml")
    browser.open((tmp_path / "r.html").as_uri(), dark=True)
    browser.run("window.inks = []; addEventListener('beforeprint', () => window.inks.push(getComputedStyle(document.documentElement).getPropertyValue('--ink').trim(),"
                " Chart.getChart('histogram-self').options.scales.x.ticks.color))")
    pdf = base64.b64decode(browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert pdf.startswith(b"%PDF") and len(pdf) > 50_000
    assert browser.run("return window.inks") == ["#1b2430", "#566273"]
    assert not browser.run("return document.documentElement.classList.contains('printing')")
    assert browser.run("return Chart.getChart('histogram-self').options.scales.x.ticks.color") == "#9eabbb" and browser.faults() == []


def test_groups_of_a_filter_killed_on_the_way_are_those_of_one_that_never_was(tmp_path):
    """The log behind the checkpoint goes through the same door; it knows what is repeated by name alone."""
    rows = rows_of(1600, seed=31)
    settings = {"fairness": "{group_by: attributes.region}", "duplicate__text__memory": "8MiB", "policy": '[{when: "duplicate", do: drop, reason: duplicate}]'}
    samples = [Sample(id=row["id"], source=row["source"], payload=row["text"].encode(), attributes={"region": row["region"]}) for row in rows]
    found = []
    for name, kills in (("whole", ()), ("killed", (500, 1100))):
        (tmp_path / name).mkdir()
        with Filter(tmp_path / name, **settings) as filter_:
            for at in range(0, len(samples), 100):
                if at in kills:
                    filter_.kill()
                    filter_.start()
                if at == 0 or at in kills:
                    peer = Peer(filter_.ingest)
                    peer.hello("p")
                peer.put_acknowledged(at, samples[at:at + 100])
            peer.close()
            filter_.stop()
        done = subprocess.run([SLUICE, "report", "--state", filter_.state, "--json"], capture_output=True, text=True)
        found.append(json.loads(done.stdout)["portfolio"]["groups"])
        for row in found[-1]["rows"]:
            del row["first_us"], row["last_us"]
    assert found[0] == found[1] and sum(cell["count"] for cell in found[0]["repeats"]) > 100
    assert all(row["duplicates"] > 0 for row in found[0]["rows"])

"""page_test.py - the dashboard and the report in a real Chromium: every control, hostile data, both widths, both themes."""

import contextlib
import csv
import io
import json
import os
import random
import re
import shutil
import subprocess
import threading
import time
import urllib.request

import pytest
from PIL import Image

from harness import QUICK, ROOT, SLUICE, Filter, Peer, Sample, free_port

try:
    import trio
    import trio_websocket
    from selenium import webdriver
    from selenium.common import exceptions
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select
except ImportError:
    webdriver = None

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
in_browser = pytest.mark.skipif(not (webdriver and CHROMIUM and DRIVER), reason="no chromium, chromium-driver or python3-selenium")

WATCH = ROOT / "src" / "watch"
HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1> \"'`&amp; <!-- \u202egnp.exe\u202c \u2028"
HOSTILE_SOURCE = "<img src=x onerror=window.hacked=1>"
FILES = {"/": "text/html", "/page.css": "text/css", "/chart.js": "text/javascript", "/draw.js": "text/javascript",
         "/live.js": "text/javascript", "/page.js": "text/javascript", "/icon.svg": "image/svg+xml"}


def words(rng, topic, n=30):
    return " ".join(f"{topic}{rng.randrange(300)}" for _ in range(n))


def photo(quality):
    out = io.BytesIO()
    small = Image.frombytes("RGB", (12, 8), random.Random(3).randbytes(288))
    small.resize((300, 200), Image.BICUBIC).save(out, "JPEG", quality=quality)
    return out.getvalue()


def samples_of(n):
    """Sources of several kinds, and what a hostile sender would send."""
    rng = random.Random(7)
    made, topics = [], ["river", "stone", "copper", "garden", "signal"]
    for i in range(n):
        topic = topics[i % 5]
        text = words(rng, topic)
        if topic == "copper" and i > 50 and i % 2:
            text = made[i - 5 * rng.randrange(1, 9)].payload.decode() + " again"
        made.append(Sample(id=f"{topic}-{i}", source=topic, payload=text.encode(), cost=0.5))
    hostile = HOSTILE + " " + words(rng, "evil", 60)
    line = "x" * 500 + " y" * 500_000
    made += [Sample(id="h1<b>", source=HOSTILE_SOURCE, payload=hostile.encode()),
             Sample(id="h2';--", source="=cmd()", payload=hostile.replace("evil", "evil changed ", 1).encode()),
             Sample(id="long1", source="long" * 40, payload=line.encode()), Sample(id="long2", source="long", payload=(line + " z").encode()),
             Sample(id="pic1", source="shop", payload=photo(90), media_type="image/jpeg"),
             Sample(id="pic2", source="shop", payload=photo(60), media_type="image/jpeg")]
    return made


class Page(Filter):
    def __init__(self, folder, **settings):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        super().__init__(folder, listen__http=f"127.0.0.1:{self.port}", **settings)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    filter_ = Page(tmp_path_factory.mktemp("page"), encoder="builtin", influence__expert__warmup=512, duplicate__image__memory="4MiB",
                   influence__references="[{name: probe, source: river, samples: 50}]",
                   fairness="{group_by: sample.source, max_ratio: 1.5, min_samples: 100}",
                   policy='[{when: "duplicate", do: drop, reason: duplicate}, {when: "influence.self > 20", do: flag, reason: strong},'
                          ' {when: "percentile.leverage >= 0.99", do: flag, reason: rare}]')
    with filter_, Peer(filter_.ingest) as peer:
        peer.hello("shop<b>")
        made, filter_.sequence = samples_of(1500), 0
        for i in range(0, len(made), 50):
            peer.put_acknowledged(i, made[i:i + 50])
        filter_.sequence = len(made)

        def put(samples):
            peer.put_acknowledged(filter_.sequence, samples)
            filter_.sequence += len(samples)

        filter_.put = put
        yield filter_


def get(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.headers, answer.read()


# --- without a browser ---


def test_the_files_of_the_page_are_served_with_their_types(page):
    for path, kind in FILES.items():
        headers, body = get(page.url.rstrip("/") + path)
        assert headers["Content-Type"].split(";")[0] == kind and body
        assert headers["Content-Security-Policy"].startswith("default-src 'self';")
        if path not in ("/", "/chart.js"):
            assert body == (WATCH / path[1:]).read_bytes()


def test_the_sources_hold_nothing_that_could_run_data():
    html = (WATCH / "page.html").read_text()
    assert not re.search(r"\son\w+=|\sstyle=|javascript:|<script>|<style", html)
    assert {found for found in re.findall(r'(?:src|href)="([^"#][^"]*)"', html)} == set(FILES) - {"/"}
    for name in ("draw.js", "live.js", "page.js"):
        code = (WATCH / name).read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|createContextualFragment", code)
        assert set(re.findall(r"https?://[^\"' ]+", code)) <= {"http://www.w3.org/2000/svg"}
        assert "</script" not in code and "<!--" not in code
        assert len(code.splitlines()) < 600


def report_of(page, folder, *words_):
    out = folder / "report.html"
    done = subprocess.run([SLUICE, "report", "--state", str(page.state), *words_, "-o", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def test_a_report_holds_the_data_of_json_and_nothing_of_elsewhere(page, tmp_path):
    text = report_of(page, tmp_path, "--samples", "600").read_text()
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1]
    assert not re.search("[<>&]", data)
    known = json.loads(data)
    shown = json.loads(subprocess.run([SLUICE, "report", "--state", str(page.state), "--samples", "600", "--json"], capture_output=True, text=True).stdout)
    assert {key: known[key] for key in shown} == shown
    assert known["portfolio"]["total"]["received"] == known["before"]["total"]["received"] == 600
    assert known["portfolio"]["sources"] != known["before"]["sources"]
    assert "600" in known["period"]
    assert "default-src 'none'" in text and not re.search(r'(?:src|href)="[^#"]', text.split("<script")[0])
    assert text.count("<script") == 5 and text.count("</script") == 5


def test_a_report_that_cannot_be_written_says_so(page, tmp_path):
    done = subprocess.run([SLUICE, "report", "--state", str(page.state), "-o", str(tmp_path / "no" / "x.html")], capture_output=True, text=True)
    assert done.returncode != 0 and "cannot write" in done.stderr


# --- with one ---


class Browser:
    """A headless Chromium that remembers what was asked for and what went wrong."""

    def __init__(self, downloads):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,1000",
                     "--disable-background-networking", "--no-first-run"):
            options.add_argument(word)
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.downloads = downloads
        self.driver = webdriver.Chrome(service=webdriver.chrome.service.Service(DRIVER), options=options)
        self.driver.set_script_timeout(30)

    def open(self, url, width=1400, dark=False, ready="#source-table tbody tr td:nth-child(2)"):
        self.driver.get_log("browser"), self.driver.get_log("performance")
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        self.theme(dark)
        self.driver.get(url)
        self.wait(lambda: self.driver.find_elements(By.CSS_SELECTOR, ready), "the page is filled")

    def theme(self, dark):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})

    def wait(self, what, why, seconds=20):
        until = time.monotonic() + seconds
        while True:
            got = what()
            if got:
                return got
            assert time.monotonic() < until, (why, self.text("state"), self.driver.get_log("browser"))
            time.sleep(0.05)

    def run(self, script, *values):
        return self.driver.execute_script(script, *values)

    def get(self, identity):
        return self.driver.find_element(By.ID, identity)

    def text(self, identity):
        return self.run("return document.getElementById(arguments[0]).textContent", identity)

    def select(self, identity, value):
        select = Select(self.get(identity))
        select.select_by_index([option.get_attribute("value") for option in select.options].index(value))

    def set(self, identity, value):
        self.run("const e = document.getElementById(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event('input', {bubbles: true}))",
                 identity, value)

    def click(self, element):
        def clicked():  # the page is live: what is above may grow between the two
            self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
            try:
                element.click()
            except exceptions.ElementClickInterceptedException:
                return False
            return True
        self.wait(clicked, "the element can be clicked")

    def faults(self):
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def asked(self):
        entries = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return {entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    made = Browser(tmp_path_factory.mktemp("downloads"))
    yield made
    made.driver.quit()


def overflow(browser):
    """How far anything reaches beyond the window, but for what scrolls by itself."""
    return browser.run("""
        const wide = document.documentElement.scrollWidth - innerWidth;
        const out = [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, nav, .skip, pre') && e.checkVisibility()
            && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + '#' + e.id + '.' + e.className);
        return wide > 0 ? ['page ' + wide] : out""")


def assert_calm(browser, url):
    assert browser.run("return window.hacked") is None
    assert browser.run("return [...document.images].filter(i => !i.src.startsWith(location.origin + '/api/v1/thumbnail/')).length") == 0
    assert browser.faults() == []
    assert {address for address in browser.asked() if not address.startswith((url, "blob:"))} == set()


@in_browser
@pytest.mark.parametrize("width", [1400, 400])
def test_a_page_shows_every_part_at_any_width_and_asks_nobody_else(page, browser, width):
    browser.open(page.url, width)
    browser.wait(lambda: browser.driver.find_elements(By.CSS_SELECTOR, "#pair-list .pair img"), "pairs with pictures")
    browser.wait(lambda: browser.driver.find_elements(By.CSS_SELECTOR, "#top-list .text"), "samples")
    browser.wait(lambda: browser.run("return [...document.images].every(i => { i.scrollIntoView(); return i.complete && i.naturalWidth > 0 })"), "pictures are there")
    assert overflow(browser) == []
    cards = dict(zip(*browser.run("return ['dt', 'dd'].map(t => [...document.querySelectorAll('#totals ' + t)].map(e => e.textContent))")))
    assert cards["Received"] == f"{page.sequence:,}"
    histograms = browser.run("return [...document.querySelectorAll('#histograms canvas')].map(c => [c.id, c.width > 0, c.getAttribute('aria-label')])")
    assert {row[0] for row in histograms} == {f"histogram-{score}" for score in ("similarity", "loss", "self", "leverage", "toward.probe")}
    assert all(row[1] and re.search(r"\d", row[2]) for row in histograms)
    for identity, text in [("reasons", "duplicate"), ("advice-list", "copper"), ("matrix", "copper"), ("groups", "copper"), ("rule-list", "influence.self > 20"),
                           ("label-list", "-"), ("config", "duplicate:"), ("state", "ready"), ("fairness-text", "this is more")]:
        assert text in browser.text(identity), identity
    assert_calm(browser, page.url)


@in_browser
def test_thresholds_in_force_are_drawn_into_the_histograms(page, browser):
    browser.open(page.url)
    lines = browser.wait(lambda: browser.run("return Chart.getChart('histogram-self').options.plugins.lines.at.map(l => l.label)"), "a line")
    assert lines == ["flag 20"]
    assert any(label.startswith("text 0.") for label in browser.run("return Chart.getChart('histogram-similarity').options.plugins.lines.at.map(l => l.label)"))
    red = browser.run("""const c = document.getElementById('histogram-leverage'), at = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let n = 0; for (let i = 0; i < at.length; i += 4) { n += at[i] > 150 && at[i + 1] < 90 && at[i + 2] < 90 && at[i + 3] > 200; } return n""")
    assert red > 20  # a percentile in a rule is drawn at its value


@in_browser
def test_hostile_text_stays_text(page, browser):
    browser.open(page.url)
    browser.wait(lambda: "window.hacked=1" in browser.text("pair-list"), "the hostile pair")
    shown = browser.run("return [...document.querySelectorAll('#pair-list .text')].map(e => e.textContent)")
    assert any(text.startswith(HOSTILE) for text in shown)
    assert any("changed" in text for text in browser.run("return [...document.querySelectorAll('#pair-list ins')].map(e => e.textContent)"))
    browser.get("source-find").send_keys("<img")
    browser.wait(lambda: browser.text("source-count").startswith("1 of"), "one source")
    assert HOSTILE_SOURCE in browser.text("source-table")
    assert browser.run("return getComputedStyle(document.querySelector('#pair-list .text')).unicodeBidi") == "isolate"
    assert max(map(len, shown)) <= 4096 and overflow(browser) == []
    codes = browser.run("return [...document.querySelectorAll('#pair-list code')].map(e => e.textContent)")
    assert any(code.startswith("sluice state restore 'h2'\\'';--' --offset ") and code.endswith(page.ingest) for code in codes)
    assert browser.run("return document.scripts.length") == 4
    assert_calm(browser, page.url)


@in_browser
def test_every_control_does_what_it_says(page, browser):
    browser.open(page.url)
    browser.wait(lambda: browser.driver.find_elements(By.CSS_SELECTOR, "#pair-list .pair"), "pairs")
    driven = set()

    def used(identity):
        driven.add(identity)
        return identity

    # sort by every column, both ways
    for i, button in enumerate(browser.driver.find_elements(By.CSS_SELECTOR, "#source-table th button")):
        orders = []
        for _ in range(2):
            browser.click(button)
            orders.append(browser.run("return document.querySelectorAll('#source-table th')[arguments[0]].getAttribute('aria-sort')", i))
        assert sorted(orders) == ["ascending", "descending"]
    browser.click(browser.driver.find_elements(By.CSS_SELECTOR, "#source-table th button")[0])
    names = browser.run("return [...document.querySelectorAll('#source-table tbody td:first-child')].map(e => e.textContent)")
    assert names == sorted(names, key=str.casefold, reverse=True) or names == sorted(names, key=str.casefold) or len(names) > 5

    browser.get(used("source-find")).send_keys("COPP")
    browser.wait(lambda: browser.text("source-count").startswith("1 of"), "one source is found")
    browser.get("source-find").send_keys(Keys.BACKSPACE * 4)
    before = browser.run("return document.querySelector('#source-table polyline').getAttribute('points')")
    browser.select(used("trend"), "kept")
    assert browser.run("return document.querySelector('#source-table polyline').getAttribute('points')") != before
    browser.select(used("reference"), "probe")

    # by group: here the same, under another name
    matrix = browser.text("matrix")
    browser.select(used("by"), "group: sample.source")
    assert browser.run("return document.querySelector('#source-table th').textContent") == "Group" and browser.text("by-word") == "group"
    assert re.fullmatch(r"\d+ of \d+ groups", browser.text("source-count")) and browser.get("repeats-by").get_attribute("value") == "group: sample.source"
    assert browser.text("matrix") == matrix and "copper" in matrix
    browser.select(used("repeats-by"), "source")
    assert browser.text("source-count").endswith("sources") and browser.text("by-word") == "source"

    # the slider
    browser.select(used("whatif-score"), "self")
    texts = []
    for value in ("100", "900"):
        browser.set(used("whatif-slider"), value)
        texts.append([int(n.replace(",", "")) for n in re.findall(r"dropped ([\d,]+) of ([\d,]+)", browser.text("whatif-text"))[0]])
    assert texts[0][0] > texts[1][0] > 0
    assert "≈" in browser.text("whatif-sources")
    browser.select(used("whatif-side"), "below")
    below = int(re.findall(r"dropped ([\d,]+)", browser.text("whatif-text"))[0].replace(",", ""))
    assert below > texts[1][0]
    browser.set(used("whatif-value"), "1e9")
    scored = int(re.findall(r"dropped ([\d,]+)", browser.text("whatif-text"))[0].replace(",", ""))  # those without a score are of no share
    assert abs(texts[1][0] / scored - 0.1) < 0.02
    assert "(100.0 %)" in browser.text("whatif-text") or below < int(re.findall(r"dropped ([\d,]+)", browser.text("whatif-text"))[0].replace(",", ""))
    browser.select("whatif-score", "similarity")
    browser.select("whatif-side", "above")
    browser.set("whatif-value", "0.2")
    recent = json.loads(get(page.url + "api/v1/recent")[1])
    n = sum(value is not None for value in recent["similarity"])
    assert re.search(rf"dropped {n:,} of {len(recent['offset']):,}", browser.text("whatif-text")) and n > 20

    # the tap
    browser.select(used("tap-decision"), "drop")
    time.sleep(0.3)
    page.put([Sample(id="tap-1", source="tap", payload=b"all of this is new to everybody here"), Sample(id="tap-2", source="tap", payload=b"all of this is new to everybody here")])
    browser.wait(lambda: "tap-2" in browser.text("tap"), "the tap shows what came")
    assert "tap-1 " not in [row.split(" ")[0] + " " for row in browser.text("tap").splitlines()]
    assert browser.run("return [...document.querySelectorAll('#tap tr')].every(r => r.cells[0].textContent === 'drop')")
    browser.select("tap-decision", "")
    browser.get(used("tap-source")).send_keys("other" + Keys.TAB)
    time.sleep(0.3)
    page.put([Sample(id="tap-3", source="tap", payload=b"three three three"), Sample(id="tap-4", source="other", payload=b"four four four")])
    browser.wait(lambda: "tap-4" in browser.text("tap"), "of one source")
    assert "tap-3" not in browser.text("tap")
    browser.click(browser.get(used("tap-pause")))
    assert browser.get("tap-pause").get_attribute("aria-pressed") == "true"
    page.put([Sample(id="tap-5", source="other", payload=b"five five five")])
    time.sleep(0.8)
    assert "tap-5" not in browser.text("tap")
    browser.click(browser.get("tap-pause"))
    assert browser.get("tap-pause").text == "Pause"

    # pairs, samples, curves
    browser.select(used("pairs-method"), "image")
    assert browser.run("return [...document.querySelectorAll('#pair-list h3')].every(e => e.textContent.startsWith('image'))")
    browser.select("pairs-method", "")
    browser.click(browser.get(used("pairs-again")))
    browser.wait(lambda: "tap-2" in browser.text("pair-list"), "the new pair")
    details = browser.driver.find_element(By.XPATH, "//*[@id='pair-list']//details[contains(., 'Bring it back')]")
    browser.click(details.find_element(By.TAG_NAME, "summary"))
    browser.click(details.find_element(By.TAG_NAME, "button"))
    assert browser.run("return document.activeElement.id") == "confirm-no"  # what a hasty Enter means
    browser.click(browser.get("confirm-no"))
    browser.wait(lambda: not browser.get("confirm").is_displayed(), "it is not done")
    highest = float(browser.run("return document.querySelector('#top-list strong').textContent"))
    browser.select(used("top-order"), "asc")
    browser.wait(lambda: float(browser.run("return document.querySelector('#top-list strong').textContent")) < highest, "the lowest")
    browser.select(used("top-by"), "toward.probe")
    browser.select(used("rare-by"), "source_shift")
    first = browser.run("return Chart.getChart('curve-chart').data.datasets[1].data[50]")
    browser.select(used("curve-of"), "toward.probe")
    assert browser.run("return Chart.getChart('curve-chart').data.datasets[1].data[50]") != first

    browser.click(browser.get(used("labels-csv")))
    written = browser.downloads / "label-first.csv"
    browser.wait(written.exists, "the list is written")
    browser.wait(lambda: written.read_text().count("\n") > 10, "whole")
    rows = list(csv.reader(io.StringIO(written.read_text())))
    assert rows[0] == ["id", "source", "offset", "score", "leverage", "influence"]
    assert not any(cell[:1] in "=+@" for row in rows[1:] for cell in row[:2] if cell)

    browser.click(browser.driver.find_element(By.CSS_SELECTOR, "#rules summary"))
    assert browser.get("config").is_displayed()
    for link in browser.driver.find_elements(By.CSS_SELECTOR, "nav a"):
        target = link.get_attribute("href").split("#")[1]
        browser.click(link)
        assert browser.run("return location.hash") == "#" + target and browser.get(target).is_displayed()
    driven.add("source-all")  # there are too few sources for it here: the next test
    controls = browser.run("return [...document.querySelectorAll('main button[id], main input, main select')].map(e => e.id)")
    assert set(controls) == driven
    assert_calm(browser, page.url)


@in_browser
def test_a_keyboard_is_enough(page, browser):
    browser.open(page.url)
    browser.wait(lambda: browser.driver.find_elements(By.CSS_SELECTOR, "#pair-list .pair"), "pairs")
    browser.run("document.body.focus(); scrollTo(0, 0)")

    def tab():
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        return browser.run("""const e = document.activeElement, s = getComputedStyle(e), all = [...document.querySelectorAll('*')];
            return {id: e.id, tag: e.tagName, place: all.indexOf(e), outline: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2,
                    name: e.getAttribute('aria-label') || e.labels?.[0]?.textContent || e.textContent || e.title, text: e.textContent}""")

    first = tab()
    assert first["text"].startswith("Skip") and browser.run("return document.activeElement.getBoundingClientRect().left >= 0")
    browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.run("return document.activeElement.id") == "main"
    visited, last = [], -1
    for _ in range(150):
        at = tab()
        if at["tag"] == "BODY" or at["place"] < last:
            break
        assert at["outline"] and at["name"].strip(), at
        last = at["place"]
        visited.append(at["id"])
        if at["id"] == "tap-pause":
            browser.driver.switch_to.active_element.send_keys(Keys.SPACE)
            assert browser.get("tap-pause").get_attribute("aria-pressed") == "true"
        if at["tag"] == "BUTTON" and at["text"] == "Kept":
            browser.driver.switch_to.active_element.send_keys(Keys.ENTER)
            assert browser.run("return document.activeElement.closest('th').getAttribute('aria-sort')") == "descending"
        if at["id"] == "whatif-slider":
            before = browser.text("whatif-text")
            browser.driver.switch_to.active_element.send_keys(Keys.ARROW_LEFT * 60)
            assert browser.text("whatif-text") != before
        if at["id"] == "pairs-method":
            break
    assert {"tap-pause", "tap-decision", "tap-source", "source-find", "whatif-slider", "whatif-value", "pairs-again"} <= set(visited)
    assert browser.faults() == []


CONTRAST = """
    const parts = c => c.match(/[\\d.]+/g).map(Number);
    const light = c => { const v = c.map(n => n / 255).map(n => n <= .03928 ? n / 12.92 : ((n + .055) / 1.055) ** 2.4);
        return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
    const ground = e => {  // what lies over what, from the root down
        const over = [];
        for (; e; e = e.parentElement) { over.unshift(parts(getComputedStyle(e).backgroundColor)); }
        return over.reduce((under, [r, g, b, a = 1]) => [r, g, b].map((n, i) => n * a + under[i] * (1 - a)), [255, 255, 255]); };
    return [...document.querySelectorAll('h1, h2, dt, dd, td, th, p, a, button, label, select, ins, del, .quiet, .keep, .flag, .drop')].filter(e => e.checkVisibility() && e.textContent.trim())
        .map(e => { const a = light(parts(getComputedStyle(e).color).slice(0, 3)), b = light(ground(e)); return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 30)]; })
        .filter(r => r[0] < 4.5).slice(0, 5)"""


@contextlib.contextmanager
def small(folder, **settings):
    """a is kept; b, c and a hostile one are dropped in its favour."""
    text = " ".join(f"word{i}" for i in range(60))
    with Page(folder, **settings) as filter_:
        with Peer(filter_.ingest) as peer:
            peer.hello("p")
            peer.put_acknowledged(0, [Sample(id="a", source="s", payload=text.encode()), Sample(id="b", source="t", payload=(text + " end").encode()),
                                      Sample(id="c/ü", source="t", payload=(text + " more").encode()), Sample(id="<b>'", source=HOSTILE_SOURCE, payload=text.encode())])
        yield filter_


def kept_of(filter_):
    with Peer(filter_.egress) as consumer:
        return [s.id for s in consumer.read_all()]


def pair_of(browser, identity, what):
    """The details of the newest pair of a sample, on its kept or on its dropped side."""
    return browser.wait(lambda: [details for pair in browser.driver.find_elements(By.CSS_SELECTOR, "#pair-list .pair") if identity in pair.text
                                 for details in pair.find_elements(By.TAG_NAME, "details") if what in details.text], what)[0]


def press(browser, *keys):
    for key in keys:
        browser.driver.switch_to.active_element.send_keys(key)


def active(browser):
    return browser.run("return document.activeElement.id || document.activeElement.textContent")


@in_browser
def test_dropped_sample_comes_back_by_keyboard_alone(browser, tmp_path):
    with small(tmp_path) as filter_:
        browser.open(filter_.url)
        details = pair_of(browser, "b · t", "Bring it back")
        browser.run("arguments[0].querySelector('summary').focus()", details)
        press(browser, Keys.ENTER, Keys.TAB)
        assert active(browser) == "Restore"
        press(browser, Keys.ENTER)
        assert active(browser) == "confirm-no" and "b of t, dropped at offset 1" in browser.text("confirm-text")
        press(browser, Keys.TAB)
        assert active(browser) == "confirm-yes"
        press(browser, Keys.ESCAPE)  # no
        browser.wait(lambda: not browser.get("confirm").is_displayed(), "the dialog is gone")
        assert active(browser) == "Restore" and kept_of(filter_) == ["a"]
        press(browser, Keys.ENTER, Keys.TAB, Keys.ENTER)
        browser.wait(lambda: "restored: kept at offset 4" in details.text, "it is restored")
        assert active(browser) == "Restore" and kept_of(filter_) == ["a", "b"]
        assert browser.faults() == []
        press(browser, Keys.ENTER, Keys.TAB, Keys.ENTER)  # once more
        browser.wait(lambda: "restored before: it is kept at offset 4" in details.text, "that it was")
        assert kept_of(filter_) == ["a", "b"]
        browser.faults()  # the 409, which the browser notes


@in_browser
@pytest.mark.parametrize("width", [1400, 400])
def test_kept_sample_shows_its_dependents_which_come_back_and_is_forgotten(browser, tmp_path, width):
    def confirm(button):
        browser.click(button)
        browser.click(browser.get("confirm-yes"))

    with small(tmp_path) as filter_:
        browser.open(filter_.url, width)
        details = pair_of(browser, "b · t", "dropped in its favour")
        browser.click(details.find_element(By.TAG_NAME, "summary"))
        rows = browser.wait(lambda: details.find_elements(By.TAG_NAME, "li"), "dependents")
        assert "3 found" in details.text and [row.text.split(" · ")[0] for row in rows] == ["b", "c/ü", "<b>'"]
        assert HOSTILE_SOURCE in rows[2].text and overflow(browser) == []
        confirm(rows[1].find_element(By.TAG_NAME, "button"))
        browser.wait(lambda: "restored: kept at offset 4" in rows[1].text, "it is restored")
        confirm(rows[2].find_element(By.TAG_NAME, "button"))
        browser.wait(lambda: "restored: kept at offset 5" in rows[2].text, "the hostile one too")
        confirm(details.find_element(By.XPATH, ".//button[.='Forget']"))
        browser.wait(lambda: "represents no sample from offset 6 on" in details.text, "it is forgotten")
        assert kept_of(filter_) == ["a", "c/ü", "<b>'"]
        for _ in range(2):  # closed and opened: looked for again
            browser.click(details.find_element(By.TAG_NAME, "summary"))
        browser.wait(lambda: "restored at offset 5" in details.text, "the new state")
        assert len(details.find_elements(By.XPATH, ".//li//button")) == 1
        assert_calm(browser, filter_.url)
        filter_.stop()
    subprocess.run([SLUICE, "state", "verify", "--state", str(filter_.state)], check=True, capture_output=True)


class Login(threading.Thread):
    """Answers the browser's own question for a name and a password, as a person does; `said` in turn."""

    def __init__(self, driver, *said):
        super().__init__(daemon=True)
        where, self.asked, self.said, self.ready = driver.capabilities["goog:chromeOptions"]["debuggerAddress"], [], list(said), threading.Event()
        targets = json.loads(urllib.request.urlopen(f"http://{where}/json", timeout=20).read())
        self.url = next(target["webSocketDebuggerUrl"] for target in targets if target["type"] == "page")
        self.done = False
        self.start()
        assert self.ready.wait(20)

    def run(self):
        trio.run(self.watch)

    async def watch(self):
        async with trio_websocket.open_websocket_url(self.url) as line:
            n = 0

            async def say(method, **parameters):
                nonlocal n
                n += 1
                await line.send_message(json.dumps({"id": n, "method": method, "params": parameters}))
            await say("Fetch.enable", handleAuthRequests=True)
            while not self.done:
                with trio.move_on_after(0.1):
                    event = json.loads(await line.get_message())
                    self.ready.set()
                    request = event.get("params", {}).get("requestId")
                    if event.get("method") == "Fetch.requestPaused":
                        await say("Fetch.continueRequest", requestId=request)
                    elif event.get("method") == "Fetch.authRequired":
                        self.asked.append(event["params"]["authChallenge"])
                        answer = {"response": "CancelAuth"} if not self.said else {
                            "response": "ProvideCredentials", "username": "me", "password": self.said.pop(0)}
                        await say("Fetch.continueWithAuth", requestId=request, authChallengeResponse=answer)


@in_browser
def test_token_is_entered_as_password_and_is_in_no_address(tmp_path):
    token = "0123456789abcdef0123456789abcdef"
    (tmp_path / "token").write_text(token + "\n")
    browser = Browser(tmp_path)  # of its own: a password is remembered
    try:
        with small(tmp_path, security__http_token=tmp_path / "token") as filter_:
            login = Login(browser.driver, "not the token", token)
            browser.open(filter_.url)
            assert [(asked["scheme"], asked["realm"]) for asked in login.asked] == [("basic", "sluice")] * 2
            login.done = True
            login.join(20)  # from here on nobody is asked any more
            browser.wait(lambda: browser.text("tap-state") == "live", "the tap")
            details = pair_of(browser, "b · t", "Bring it back")
            browser.click(details.find_element(By.TAG_NAME, "summary"))
            browser.click(details.find_element(By.TAG_NAME, "button"))
            browser.click(browser.get("confirm-yes"))
            browser.wait(lambda: "restored: kept at offset 4" in details.text, "it is restored")
            assert kept_of(filter_) == ["a", "b"]
            asked = browser.asked()
            assert len(asked) > 8 and not any(token in address or "@" in address for address in asked)
            assert token not in browser.run("return location.href + document.documentElement.outerHTML + JSON.stringify([localStorage, sessionStorage])")
            assert token not in filter_.text()
            browser.driver.get("about:blank")
            filter_.stop()
    finally:
        browser.driver.quit()


@in_browser
def test_dark_and_light_follow_the_system_and_can_be_read(page, browser):
    grounds = []
    browser.open(page.url)
    browser.wait(lambda: browser.driver.find_elements(By.CSS_SELECTOR, "#pair-list ins"), "a difference")
    for dark in (False, True, False):
        browser.theme(dark)
        accent = browser.run("return getComputedStyle(document.documentElement).getPropertyValue('--accent').trim()")
        browser.wait(lambda: accent == browser.run("return Chart.getChart('histogram-self').data.datasets[0].backgroundColor"), "charts follow")
        grounds.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
        assert browser.run(CONTRAST) == [], dark
    assert grounds[0] == grounds[2] != grounds[1]


@in_browser
@pytest.mark.parametrize("width", [1400, 400])
def test_a_report_opens_from_a_file_and_asks_nobody(page, browser, tmp_path, width):
    out = report_of(page, tmp_path, "--samples", "700")
    url = out.as_uri()
    browser.open(url, width)
    browser.wait(lambda: browser.driver.find_elements(By.CSS_SELECTOR, "#pair-list .pair"), "pairs")
    assert overflow(browser) == []
    assert browser.run("return [...document.querySelectorAll('.live')].every(e => !e.checkVisibility())")
    assert browser.driver.find_elements(By.CSS_SELECTOR, "#source-table .delta") and browser.get("before-note").is_displayed()
    assert "the last 700 samples" in browser.text("period")
    known = json.loads(browser.text("data"))
    now, before = ({of["source"]: of["received"] for of in known[period]["sources"]} for period in ("portfolio", "before"))
    received = browser.run("return Object.fromEntries([...document.querySelectorAll('#source-table tbody tr')].map(r => [r.cells[0].textContent, r.cells[1].textContent]))")
    for source in set(now) & set(before):
        assert received[source] == f"{now[source]} ({'−' if now[source] < before[source] else '+'}{abs(now[source] - before[source])})"
    assert "shop" in now and "(" not in received["shop"]  # not in the period before
    assert browser.run("return Chart.getChart('histogram-self').data.datasets[0].data.reduce((a, b) => a + b, 0)") > 500
    browser.select("whatif-score", "self")
    browser.set("whatif-slider", "500")
    part = float(re.search(r"\(([\d.]+) %\)", browser.text("whatif-text"))[1])
    assert 40 < part < 60
    assert browser.run("return window.hacked") is None and browser.faults() == []
    assert {address for address in browser.asked() if not address.startswith((url, "data:image/png;base64,"))} == set()


@in_browser
def test_a_hostile_report_of_verdicts_stays_text(browser, tmp_path):
    verdicts = tmp_path / "verdicts.jsonl"
    with open(verdicts, "w") as out:
        for i in range(300):
            record = {"id": f"{HOSTILE}{i}", "source": HOSTILE if i % 2 else f"s{i}", "offset": i, "decision": "keep", "reasons": [], "weight": 1.0,
                      "duplicate": {"of": HOSTILE, "of_source": HOSTILE, "similarity": 0.9, "method": "text"} if i % 5 == 4 else None,
                      "influence": {"state": "live", "loss": i, "self": i, "leverage": i, "source_shift": 0, "reliability": None, "toward": {HOSTILE_SOURCE: i},
                                    "percentile": {"loss": 0.5, "self": 0.5, "leverage": 0.5, "toward": {HOSTILE_SOURCE: 0.5}}}}
            out.write(json.dumps(record) + "\n")
    done = subprocess.run([SLUICE, "report", "--verdicts", str(verdicts), "-o", str(tmp_path / "r.html")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    browser.open((tmp_path / "r.html").as_uri())
    assert HOSTILE in browser.text("source-table")
    browser.wait(lambda: HOSTILE in browser.text("pair-list") and HOSTILE in browser.text("top-list"), "what is shown of samples")
    browser.select("top-by", "toward." + HOSTILE_SOURCE)
    assert browser.run("return document.querySelectorAll('#source-table tbody tr').length") == 100
    browser.click(browser.get("source-all"))
    assert browser.run("return document.querySelectorAll('#source-table tbody tr').length") == 151
    assert browser.run("return [window.hacked, document.images.length]") == [None, 0] and browser.faults() == []


@in_browser
def test_a_filter_that_went_away_is_said_and_comes_back(browser, tmp_path):
    filter_ = Page(tmp_path)
    with filter_:
        browser.open(filter_.url, ready="#source-table tbody td")
        filter_.stop()
        browser.wait(lambda: "no answer" in browser.text("state"), "that nobody answers")
        filter_.start()
        browser.wait(lambda: browser.text("state").startswith("ready"), "that it answers again")
        browser.faults()  # failed requests are said there, as they should be


@in_browser
def test_first_paint_takes_less_than_a_second_behind_many_samples(browser, tmp_path):
    n = int(os.environ.get("SLUICE_PAGE_SAMPLES", 10_000 if QUICK else 100_000))
    filter_ = Page(tmp_path)
    with filter_, Peer(filter_.ingest, timeout_ms=60_000) as peer:
        peer.hello("many")
        for i in range(0, n, 4000):
            peer.put_acknowledged(i, [Sample(id=str(j), source=f"s{j % 900}", payload=b"number %d is here" % j) for j in range(i, min(n, i + 4000))])
        browser.open(filter_.url, ready="#source-table .number")
        paint, filled = browser.run("return [performance.getEntriesByName('first-contentful-paint')[0].startTime, performance.now()]")
        print(f"first paint {paint:.0f} ms, sources shown after at most {filled:.0f} ms, {n} samples")
        assert paint < 1000

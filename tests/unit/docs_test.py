"""docs_test.py - what the pages name exists: files, verbs, options, keys of the configuration."""

import functools
import os
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLUICE = os.path.abspath(os.environ.get("SLUICE", ROOT / "build" / "dev" / "sluice"))
PAGES = [ROOT / "README.md", ROOT / "src" / "python" / "README.md", *sorted((ROOT / "deploy" / "docs").glob("*.md"))]
FOLDERS = ("deploy", "include", "proto", "src", "tests")
RECORD = {"duplicate.also"}  # of the record; neither a key nor a name of a policy
MADE = {"deploy/keys"}  # by the reader


@functools.cache
def sluice(*words):
    return subprocess.run([SLUICE, *words], capture_output=True, text=True)


@functools.cache
def verbs():
    return re.findall(r"^  ([a-z]+) ", sluice("--help").stdout, re.M)


@functools.cache
def options(verb):
    found = set(re.findall(r"--[a-z][a-z-]*", sluice(verb, "--help").stdout))
    return found | {"--help"} | ({"--set"} if "-c" in sluice(verb, "--help").stdout else set())


@functools.cache
def keys():
    """Every key of the configuration with its sections: duplicate, duplicate.text, duplicate.text.memory."""
    found, path = set(), []
    for line in sluice("check", "--print-defaults").stdout.splitlines():
        match = re.match(r"( *)([a-z_]+):", line)
        if match:
            path[len(match[1]) // 2:] = [match[2]]
            found.add(".".join(path))
    return found


@functools.cache
def policy_knows(name):
    rule = f'policy=[{{when: "{name} == nil", do: flag, reason: r}}]'
    return sluice("check", "--set", rule).returncode == 0


def code(page):
    """Inline code, and the lines of blocks without their comments."""
    fenced = False
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            yield re.split(r"(?:^|\s)#\s", line)[0].strip()
        else:
            yield from re.findall(r"`([^`]+)`", line)


def commands(text):
    """(verb, the rest of its command) of every `sluice verb` in a piece of code."""
    for match in re.finditer(r"(?<!\S)(?<!from )(?:build/[a-z]+/)?sluice ([a-z]+)\b(?!:)([^|;&)]*)", text):
        yield match[1], match[2]


class Docs(unittest.TestCase):
    def faults(self, find):
        found = [f"{page.relative_to(ROOT)}: {fault}" for page in PAGES for fault in find(page)]
        self.assertEqual(found, [], "\n".join(found))

    def test_every_link_leads_somewhere(self):
        def find(page):
            for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
                if re.match(r"[a-z]+:", target):
                    continue
                path, _, anchor = target.partition("#")
                file = (page.parent / path).resolve() if path else page
                titles = re.findall(r"^#+ (.+)$", file.read_text(), re.M) if anchor and file.is_file() else []
                anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
                if not file.exists() or (anchor and anchor not in anchors):
                    yield target
        self.faults(find)

    def test_every_file_that_is_named_is_there(self):
        def find(page):
            for text in code(page):
                path = re.match(r"[\w./-]*", text)[0]
                if path.split("/")[0] in FOLDERS and "/" in path and path not in MADE and not (ROOT / path).exists():
                    yield path
        self.faults(find)

    def test_every_verb_and_option_exists(self):
        self.assertIn("bench", verbs())

        def find(page):
            for text in code(page):
                for verb, rest in commands(text):
                    if verb not in [*verbs(), "help"]:
                        yield f"sluice {verb}"
                        continue
                    named = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", rest))
                    yield from (f"sluice {verb} {option}" for option in named - options(verb))
                    under = re.match(r" ([a-z]+)(?!\S)", rest)
                    if verb in ("state", "reference") and under and under[1] not in sluice(verb, "--help").stdout:
                        yield f"sluice {verb} {under[1]}"
                option = re.match(r"--[a-z][a-z-]*", text)
                if option and not any(option[0] in options(verb) for verb in verbs()):
                    yield option[0]
        self.faults(find)

    def test_every_verb_is_explained(self):
        named = {verb for page in PAGES for text in code(page) for verb, _ in commands(text)}
        self.assertEqual(set(verbs()) - named - {"version"}, set())

    def test_every_key_of_the_configuration_exists(self):
        self.assertIn("duplicate.text.memory", keys())
        sections = {key.split(".")[0] for key in keys()} - {"name", "state", "seed"}

        def find(page):
            for text in code(page):
                for name in re.findall(r"--set ([a-z_.]+)=", text):
                    if name not in keys():
                        yield f"--set {name}"
                match = re.fullmatch(r"([a-z_]+)((?:\.[a-z_]+)+)", text)
                if match and match[1] in sections and text not in keys() | RECORD and not policy_knows(text):
                    yield text
        self.faults(find)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])

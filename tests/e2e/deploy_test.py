"""deploy_test.py - the files of deploy/: they parse, they agree with the program, and name metrics that it serves."""

import json
import pathlib
import re
import shutil
import subprocess
import urllib.request

import pytest
import yaml

from harness import ROOT, SLUICE, Filter, Peer, free_port, sample

DEPLOY = ROOT / "deploy"
NAME = re.compile(r"\bsluice_[a-z_]+\b")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Types and help by name, and the labels that each metric has, of a filter that has seen something."""
    port = free_port()
    with Filter(tmp_path_factory.mktemp("deploy"), listen__http=f"127.0.0.1:{port}") as filter_:
        with Peer(filter_.ingest) as peer:
            peer.hello("p")
            peer.put_acknowledged(0, [sample("a", "text of a"), sample("b", "text of a"), sample("", "refused")])
        with Peer(filter_.egress) as peer:
            peer.fetch(group="g", after_commits=True)
            peer.commit("g", 0, 1)
        for _ in range(100):
            text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
            if "sluice_verdicts_total{" in text:
                break
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    words = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.M))
    labels = {}
    for name, found in re.findall(r"^(sluice_\w+)(?:\{(.*)\})? ", text, re.M):
        labels.setdefault(name, set()).update(re.findall(r'(\w+)="', found))
    return {"text": text, "types": types, "words": words, "labels": labels}


def known(served, name):
    return name in served["types"] or re.sub("_(sum|count)$", "", name) in served["types"]


def expressions():
    rules = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield f"rule {rule['alert']}", rule["expr"]
    for panel in json.loads((DEPLOY / "grafana/sluice.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"]


def test_rules_and_panels_name_what_is_served(served):
    faults, n = [], 0
    for where, expression in expressions():
        plain = re.sub(r'"[^"]*"', '""', expression)
        names = NAME.findall(plain)
        n += len(names)
        faults += [f"{where}: {name}" for name in names if not known(served, name)]
        for name, selector in re.findall(r"(sluice_\w+)\{([^}]*)\}", plain):
            given = served["labels"].get(name)
            for label in re.findall(r"(\w+)=", selector):
                if given and label not in given | {"instance", "job"}:
                    faults.append(f"{where}: {name} has no label {label}")
        for labels in re.findall(r"by \(([^)]*)\)", plain):
            for label in re.split(r",\s*", labels):
                if not any(label in served["labels"].get(name, {label}) | {"instance"} for name in names):
                    faults.append(f"{where}: nothing has a label {label}")
    assert faults == [] and n > 40


def test_every_label_value_in_an_expression_can_be(served):
    words = {"decision": {"keep", "flag", "drop", "refuse"}, "intentional": {"true", "false"},
             "state": {"warming", "live", "stale"}, "job": {"sluice"}, "instance": {"$instance"},
             "outcome": {"received", "kept", "flagged", "dropped", "refused", "redelivered"}}
    for where, expression in expressions():
        for label, value in re.findall(r'(\w+)=~?"([^"]*)"', expression):
            assert value in words[label], (where, label, value)


def test_documents_list_every_metric(served):
    text = (DEPLOY / "docs/operations.md").read_text()
    rows = {name: (kind, words) for name, kind, words in re.findall(r"^\| `(sluice_\w+)` \| (\w+) \| (.*) \|$", text, re.M)}
    assert rows == {name: (kind, served["words"][name]) for name, kind in served["types"].items()}


def test_dashboard_is_one_that_grafana_reads():
    board = json.loads((DEPLOY / "grafana/sluice.json").read_text())
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids) >= 15 and board["uid"] == "sluice" and board["schemaVersion"] >= 36
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"] and all(target["expr"].count("(") == target["expr"].count(")") for target in panel["targets"])


def test_rules_are_rules():
    rules = yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())["groups"][0]["rules"]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian package prometheus)")
def test_promtool_agrees(served):
    subprocess.run(["promtool", "check", "rules", DEPLOY / "prometheus/rules.yml"], check=True)
    subprocess.run(["promtool", "check", "config", "--syntax-only", DEPLOY / "prometheus/prometheus.yml"], check=True)
    done = subprocess.run(["promtool", "check", "metrics"], input=served["text"], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_unit_is_verified_by_systemd(tmp_path):
    text = (DEPLOY / "systemd/sluice.service").read_text()
    unit = tmp_path / "sluice.service"
    unit.write_text(text.replace("/usr/local/bin/sluice", SLUICE))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert done.returncode == 0 and not re.search("sluice.service", done.stderr), done.stderr
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True)
    level = re.search(r"exposure level for sluice.service: ([\d.]+)", done.stdout)
    if level:
        assert float(level[1]) <= 1.5


def commands():
    """Where a file of deploy/ starts the program: its arguments."""
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    yield "compose", compose["services"]["sluice"]["command"]
    docker = (DEPLOY / "Dockerfile").read_text()
    yield "Dockerfile", json.loads(re.search(r"^CMD (\[.*\])$", docker, re.M)[1])


@pytest.mark.parametrize("where, words", list(commands()))
def test_commands_are_configurations(where, words):
    assert words[0] == "run"
    done = subprocess.run([SLUICE, "check", *words[1:]], capture_output=True, text=True)
    assert done.returncode == 0, (where, done.stdout, done.stderr)


def test_image_has_what_the_program_links():
    text = (DEPLOY / "Dockerfile").read_text()
    second = text[text.rindex("FROM "):]
    needed = set(re.findall(r"NEEDED\s+(\S+)", subprocess.run(["objdump", "-p", SLUICE], capture_output=True, text=True).stdout))
    for library in needed - {"libc.so.6", "libm.so.6"}:
        if library.startswith(("libasan", "libubsan", "libtsan", "ld-linux")):
            continue
        found = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True).stdout
        path = re.search(rf"^\s*{re.escape(library)} .* => (\S+)$", found, re.M)[1]
        real = pathlib.Path(path).resolve()
        owner = ""
        for name in (real, str(real).removeprefix("/usr"), path, path.removeprefix("/usr")):
            owner = owner or subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True).stdout.split(":")[0]
        assert owner in re.split(r"\s+", second) or owner in ("libc6", "libgcc-s1", "libstdc++6"), (library, owner)


def test_image_is_not_root_and_is_looked_after():
    text = (DEPLOY / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+)", text, re.M)
    assert len(stages) == 2 and all(stage == "debian:12-slim" for stage in stages)
    assert re.search(r"^USER 10001", text, re.M) and "HEALTHCHECK" in text and "STOPSIGNAL SIGTERM" in text
    for source in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.M):
        assert all((ROOT / name).exists() for name in source.split()), source
    assert "latest" not in text and "ADD " not in text


def test_health_check_of_the_image_finds_a_living_filter(tmp_path):
    text = (DEPLOY / "Dockerfile").read_text()
    words = json.loads(re.search(r"^    CMD (\[.*\])$", text, re.M)[1])
    port = free_port()
    words[-1] = words[-1].replace("/9570", f"/{port}")
    assert subprocess.run(words, capture_output=True).returncode != 0
    with Filter(tmp_path, listen__http=f"127.0.0.1:{port}"):
        assert subprocess.run(words, capture_output=True, timeout=20).returncode == 0


def test_compose_gives_what_the_services_name():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        assert set(service.get("secrets", [])) <= set(compose["secrets"]), name
        assert "build" in service or not service["image"].endswith(":latest") and ":" in service["image"]
        for port in service["ports"]:
            assert port.startswith("127.0.0.1:"), port
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert source in compose["volumes"] or source.startswith("./keys/") or (DEPLOY / source).exists(), volume
    filter_ = compose["services"]["sluice"]
    assert filter_["read_only"] is True and filter_["cap_drop"] == ["ALL"]
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    assert config["scrape_configs"][0]["static_configs"][0]["targets"] == ["sluice:9570"]
    assert all((DEPLOY / "prometheus" / name).exists() for name in config["rule_files"])
    assert len(list((DEPLOY / "grafana/provisioning").rglob("*.yml"))) == 2
    for path in (DEPLOY / "grafana/provisioning").rglob("*.yml"):
        assert yaml.safe_load(path.read_text())["apiVersion"] == 1


def test_kubernetes_objects_fit_together(tmp_path):
    objects = {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes/sluice.yaml").read_text())}
    assert set(objects) == {"ConfigMap", "Service", "StatefulSet"}
    config = tmp_path / "sluice.yaml"
    config.write_text(objects["ConfigMap"]["data"]["sluice.yaml"])
    done = subprocess.run([SLUICE, "check", "-c", config], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    spec = objects["StatefulSet"]["spec"]
    pod = spec["template"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["replicas"] == 1 and spec["selector"]["matchLabels"] == labels == objects["Service"]["spec"]["selector"]
    assert spec["serviceName"] == objects["Service"]["metadata"]["name"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    volumes = {volume["name"] for volume in pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in spec["volumeClaimTemplates"]}
    for container in pod["containers"] + pod["initContainers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert "limits" in container["resources"]
    ports = {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}
    assert {port["targetPort"] for port in objects["Service"]["spec"]["ports"]} <= set(ports)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        http = pod["containers"][0][probe]["httpGet"]
        assert http["path"] in ("/livez", "/readyz") and http["port"] in ports
    mounts = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    settings = yaml.safe_load(objects["ConfigMap"]["data"]["sluice.yaml"])
    for path in (settings["state"], *(settings["security"].values())):
        assert any(path.startswith(mount) for mount in mounts), path

"""The evaluated texts of every NixOS host, kept under golden/: what tests read where nobody can evaluate.

    NIXTREES=DIR python -m tests.nix.golden [HOST…]               write them (all hosts without a name)
    AETHER_GOLDEN_ASK=FILE pytest tests/nix; NIXTREES=DIR python -m tests.nix.golden --ask FILE
                                                                  also what tests newly ask
golden/HOST/ holds ``report.json`` (nix/lib/report.nix, without texts), ``units.txt`` and ``etc.txt`` (one heading a text),
``rules.nft``, ``files/`` (what derivations write) and ``answers.json`` (options that tests ask for); golden/shared/ the units
and files of /etc that several hosts have alike; golden/flake/ what is no host's. Hashes of store paths are eeee…, so that a
difference is one of texts. ``sources.json`` says what they were evaluated from.
"""

import argparse
import json
import os
import re
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

from components.nixos.source_closure import source_hashes
from inventory.overlay import document
from nix.tools import evaluate

FOLDER = Path(__file__).parent / "golden"
FLAKE = "flake"
SHARED = "shared"
Host = dict[str, Any]

_STORE = re.compile(r"/nix/store/[0-9a-df-np-sv-z]{32}-")
_HASH = re.compile(r"(?<![\w/-])[0-9a-df-np-sv-z]{32}(?![\w-])")
_NO_HASH = "e" * 32
# Texts of derivations that tests read, and those that programs on the hosts are started with.
_KEPT = re.compile(
    r"Caddyfile|haproxy\.conf|wireproxy\.conf|prometheus\.yml|blackbox\.json|alertmanager\.yml|config\.(yaml|ini)|datasource\.yaml"
    r"|dashboard\.yaml|etc-grafana-dashboards-.*|etc-fstab|loki-config\.json|ca\.json|keycloak\.conf|app\.ini|configuration\.yaml|mosquitto\.conf|vpn\.nft"
    r"|vpn.*\.conf|qBittorrent\.conf|encoding\.xml|network\.xml|.*tmpfiles.*|jail\.local|sudoers-in|logrotate\.conf|sshd\.conf-settings"
    r"|.*backupPrepareCommand.*|AdGuardHome\.yaml|05-main\.network|unit-05-main\.network|unit-(alertmanager|aether-heartbeat)\.service"
    r"|.*\.hcl|acme-.*|postgresql\.conf|pg_hba\.conf|unit-script-.*|server\.(conf|hcl)|mirror\.yml|aether-workspace-base\.json|nss-cacert.*|zwave.*|otbr.*|refind.*"
)
# Derivations whose text is written by a command, or that tests read as a whole.
_COMMANDS = re.compile(r"loki-config\.json")


# nixpkgs' own, which a test starts, with its licence.
_OF_NIXPKGS = ("COPYING", "nixos/modules/system/boot/loader/systemd-boot/systemd-boot-builder.py")


class NotRecorded(LookupError):
    """The golden texts do not hold the answer; the text says what to do."""


def nixos_hosts() -> dict[str, dict[str, Any]]:
    """NixOS hosts of all inventory files: name to facts, read without Nix."""
    return {name: facts for _, hosts in _files() for name, facts in hosts.items()}


def _files() -> list[tuple[Path, dict[str, dict[str, Any]]]]:
    """Inventory files, each with its NixOS hosts."""
    found = []
    for file in sorted((evaluate.ROOT / "inventory").glob("*.toml")):
        hosts = document(file)["hosts"]
        nixos = {
            name: facts
            for name, facts in hosts.items()
            if facts["kind"].startswith("nixos-") or (facts["kind"] == "cloud-vm" and facts["os"] == "nixos")
        }
        found.append((file.relative_to(evaluate.ROOT), nixos))
    return found


def available() -> bool:
    """Whether hosts can be evaluated here, so that the golden texts are not needed."""
    return evaluate.trees() is not None


def normalised(value: Any) -> Any:
    """A value without the hashes of store paths."""
    return _in_texts(lambda text: _HASH.sub(_NO_HASH, _STORE.sub(f"/nix/store/{_NO_HASH}-", text)), of_no_machine(value))


def of_no_machine(value: Any) -> Any:
    """A value with the store's paths as they are everywhere."""
    local = evaluate.trees()
    return _in_texts(lambda text: text.replace(f"{local.directory}/nix/store", "/nix/store"), value) if local else value


def _in_texts(change: Callable[[str], str], value: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {_in_texts(change, key): _in_texts(change, entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_in_texts(change, entry) for entry in value]
    return value


def report(host: str) -> dict[str, Any]:
    """What nix/lib/report.nix said of the host.

    Raises:
        NotRecorded: the host has no golden texts.
    """
    return dict(_host(host)["report"])


def derivations(host: str) -> list[dict[str, Any]]:
    """Those derivations behind the host's system whose texts are kept: ``name``, and ``text``, ``value`` or ``buildCommand``."""
    return list(_host(host)["derivations"])


def ask(attribute: str, apply: str | None = None) -> Any:
    """Value of an attribute of the flake: evaluated where that is possible, as recorded otherwise.

    Raises:
        NotRecorded: nobody asked for it when the golden texts were written.
    """
    if available():
        return evaluate.evaluate(attribute, apply=apply).value
    host, path = place(attribute)
    for answer in _answers(host):
        if (answer["ask"], answer.get("apply")) == (path, apply):
            return json.loads(json.dumps(answer["value"]))
    if file := os.environ.get("AETHER_GOLDEN_ASK"):
        with Path(file).open("a") as questions:
            questions.write(json.dumps([attribute, apply]) + "\n")
        # So that the test gets to its next question.
        return MagicMock()
    raise NotRecorded(f"{attribute} is in no golden text of {host}: tests/nix/golden.py says how to record it")


@cache
def stale() -> list[str]:
    """Hosts whose sources changed since their golden texts were written (or whose comments did: only an evaluation tells)."""
    written = json.loads((FOLDER / "sources.json").read_text())
    return sorted(host for host, digest in sources().items() if written.get(host) != digest)


def sources() -> dict[str, str]:
    """Hash of what each host is evaluated from."""
    return {name: digest for file, hosts in _files() for name, digest in source_hashes(evaluate.ROOT, [file], hosts).items()}


def read(host: str) -> Host:
    """A host's golden texts as ``evaluated`` gives them."""
    folder = FOLDER / host
    if not (folder / "report.json").exists():
        raise NotRecorded(f"{host} has no golden texts. Fix: NIXTREES=… python -m tests.nix.golden {host}")
    found = json.loads((folder / "report.json").read_text())
    for kind in ("units", "etc"):
        shared = _sections((FOLDER / SHARED / f"{kind}.txt").read_text())
        names = found.pop(f"{kind}AlsoElsewhere")
        found[kind] = {name: shared[name] for name in names} | _sections((folder / f"{kind}.txt").read_text())
        found[kind] = dict(sorted(found[kind].items()))
    found["nftables"] = (folder / "rules.nft").read_text()
    texts = []
    for file in sorted((folder / "files").rglob("*")) if (folder / "files").exists() else []:
        name = re.sub(r"~\d+$", "", file.name)
        kind, _, name = name.partition("=")
        content = file.read_text()
        texts.append({"name": name, kind: json.loads(content) if kind == "value" else content})
    return {"report": found, "derivations": texts, "answers": _answers(host)}


def evaluated(host: str, questions: Iterable[tuple[str, str | None]]) -> Host:
    """Evaluates a host once, for its report and for the answers to all questions about it."""
    asked = sorted(set(questions), key=lambda one: (one[0], one[1] or ""))
    expressions = [f"(({apply or 'x: x'}) ({'host.' + path if path else 'host'}))" for path, apply in asked]
    base = (evaluate.ROOT / "nix" / "lib" / "report.nix").read_text()
    text = f"host: {{ report = (\n{base}\n) host; answers = [ {' '.join(expressions)} ]; }}"
    found = evaluate.evaluate(f"nixosConfigurations.{host}", apply=text).value
    answers = [_answer(path, apply, value) for (path, apply), value in zip(asked, found["answers"], strict=True)]
    return {
        "report": normalised(found["report"]),
        "derivations": _kept(found["report"]["drvPath"]),
        "answers": normalised(answers),
    }


def _with_answers(host: str, questions: Iterable[tuple[str, str | None]]) -> Host:
    """A host's golden texts with answers to more questions; nothing else is evaluated."""
    found = read(host)
    for path, apply in questions:
        attribute = f"nixosConfigurations.{host}.{path}" if path else f"nixosConfigurations.{host}"
        found["answers"].append(normalised(_answer(path, apply, evaluate.evaluate(attribute, apply=apply).value)))
    found["answers"].sort(key=lambda one: (one["ask"], one.get("apply") or ""))
    return found


def _kept(path: str) -> list[dict[str, Any]]:
    shown = evaluate.run(["derivation", "show", "--recursive", path], json_output=True).value
    found = []
    for derivation in shown.get("derivations", shown).values():
        name, environment = derivation["name"], derivation["env"]
        if not _KEPT.fullmatch(name):
            continue
        attributes = derivation.get("structuredAttrs") or json.loads(environment.get("__json", "{}")) or environment
        for kind in ("value", "text", "buildCommand"):
            if attributes.get(kind) is not None and (kind != "buildCommand" or _COMMANDS.fullmatch(name)):
                found.append({"name": name, kind: attributes[kind]})
                break
    return sorted(normalised(found), key=lambda one: (one["name"], json.dumps(one, sort_keys=True)))


def write(hosts: Mapping[str, Host], flake: list[dict[str, Any]], digests: Mapping[str, str]) -> None:
    """Writes the golden texts of all hosts, evaluated from sources of these digests; what is no longer there goes."""
    copies = {file: of_nixpkgs(file) for file in _OF_NIXPKGS}
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / SHARED).mkdir(parents=True)
    shared = {kind: _alike([host["report"][kind] for host in hosts.values()]) for kind in ("units", "etc")}
    for kind, texts in shared.items():
        (FOLDER / SHARED / f"{kind}.txt").write_text(_joined(texts))
    for name, host in hosts.items():
        folder = FOLDER / name
        folder.mkdir()
        rest = {key: value for key, value in host["report"].items() if key not in ("units", "etc", "nftables")}
        for kind, texts in shared.items():
            own = host["report"][kind]
            rest[f"{kind}AlsoElsewhere"] = sorted(key for key, text in own.items() if texts.get(key) == text)
            (folder / f"{kind}.txt").write_text(_joined({key: text for key, text in own.items() if texts.get(key) != text}))
        _write_json(folder / "report.json", rest)
        (folder / "rules.nft").write_text(host["report"]["nftables"])
        _write_files(folder / "files", host["derivations"])
        _write_json(folder / "answers.json", host["answers"])
    (FOLDER / FLAKE).mkdir()
    _write_json(FOLDER / FLAKE / "answers.json", flake)
    for file in _OF_NIXPKGS:
        _copy_of(file).parent.mkdir(parents=True, exist_ok=True)
        _copy_of(file).write_text(copies[file])
    _write_json(FOLDER / "sources.json", digests)


def _write_files(folder: Path, texts: list[dict[str, Any]]) -> None:
    seen: Counter[str] = Counter()
    for entry in texts:
        kind = next(kind for kind in entry if kind != "name")
        name = f"{kind}={entry['name']}"
        seen[name] += 1
        folder.mkdir(exist_ok=True)
        file = folder / (name if seen[name] == 1 else f"{name}~{seen[name]}")
        content = entry[kind]
        file.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n" if kind == "value" else str(content))


def _write_json(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def _alike(sets: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """By name the text that most hosts have, where at least two do."""
    texts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in sets:
        for name, text in one.items():
            texts[name][text] += 1
    best = {name: max(counts.items(), key=lambda item: (item[1], item[0])) for name, counts in sorted(texts.items())}
    return {name: text for name, (text, count) in best.items() if count > 1}


def of_nixpkgs(file: str) -> str:
    """A file of nixpkgs: from its tree, or the copy that is kept of it."""
    if local := evaluate.trees():
        return (local.tree("nixpkgs") / file).read_text()
    return _copy_of(file).read_text()


def _copy_of(file: str) -> Path:
    """Where the copy of a file of nixpkgs is; no program of this project, so nothing checks its style."""
    return FOLDER / FLAKE / "nixpkgs" / f"{file}.txt"


_HEADING = "\n==== "


def _joined(texts: Mapping[str, str]) -> str:
    assert not any(_HEADING in f"\n{text}" for text in texts.values())
    return "".join(f"==== {name}\n{text}\n" for name, text in sorted(texts.items()))


def _sections(joined: str) -> dict[str, str]:
    parts = f"\n{joined}".removesuffix("\n").split(_HEADING)[1:]
    return {name: text for name, _, text in (part.partition("\n") for part in parts)}


def place(attribute: str) -> tuple[str, str]:
    """Whose answer an attribute is, and its path below that host."""
    match = re.fullmatch(r"nixosConfigurations\.([\w-]+)(?:\.(.*))?", attribute, re.DOTALL)
    return (match[1], match[2] or "") if match else (FLAKE, attribute)


def _answer(path: str, apply: str | None, value: Any) -> dict[str, Any]:
    return {"ask": path, **({"apply": apply} if apply is not None else {}), "value": value}


@cache
def _host(host: str) -> Host:
    return read(host)


@cache
def _answers(host: str) -> list[dict[str, Any]]:
    file = FOLDER / host / "answers.json"
    return list(json.loads(file.read_text())) if file.exists() else []


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.nix.golden", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("hosts", nargs="*", help="hosts; all where none is named")
    parser.add_argument("--ask", type=Path, help="file of questions that tests asked (AETHER_GOLDEN_ASK)")
    options = parser.parse_args()
    if not available():
        parser.error("NIXTREES is not set: nothing can be evaluated (nix/tools/evaluate.py says what it is)")
    new: dict[str, set[tuple[str, str | None]]] = defaultdict(set)
    for attribute, apply in map(json.loads, options.ask.read_text().splitlines() if options.ask else []):
        host, path = place(attribute)
        if (path, apply) not in {(entry["ask"], entry.get("apply")) for entry in _answers(host)}:
            new[host].add((path, apply))
    names = sorted(nixos_hosts())
    wanted = options.hosts or ([] if options.ask else names)
    hosts: dict[str, Host] = {}
    digests = json.loads((FOLDER / "sources.json").read_text()) if (FOLDER / "sources.json").exists() else {}
    today = sources()
    for name in names:
        questions = {(entry["ask"], entry.get("apply")) for entry in _answers(name)}
        if name in wanted or (new[name] and digests[name] != today[name]) or not (FOLDER / name / "report.json").exists():
            print(f"{name} …", flush=True)
            hosts[name], digests[name] = evaluated(name, questions | new[name]), today[name]
        elif new[name]:
            print(f"{name}: {len(new[name])} more answers …", flush=True)
            hosts[name] = _with_answers(name, new[name])
        else:
            hosts[name] = read(name)
    kept = _answers(FLAKE) if options.ask else []
    asked = new[FLAKE] | ({(entry["ask"], entry.get("apply")) for entry in _answers(FLAKE)} if not kept else set())
    flake = kept.copy()
    for attribute, apply in asked:
        print(f"{attribute} …", flush=True)
        flake.append(normalised(_answer(attribute, apply, evaluate.evaluate(attribute, apply=apply).value)))
    flake.sort(key=lambda one: (one["ask"], one.get("apply") or ""))
    write(hosts, flake, {name: digests[name] for name in names})
    return 0


if __name__ == "__main__":
    sys.exit(main())

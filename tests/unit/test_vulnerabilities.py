"""`aether vulnerabilities`: what the real vulnix and osv-scanner say is read as meant, and compared with what was before."""

import gzip
import http.server
import json
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ops.stack import Stack
from ops.update import vulnerabilities
from ops.update.vulnerabilities import Known, Scan, of_closures, of_pins, report
from ops.vulnerabilities import vulnerabilities as command

VULNIX = Path(sys.executable).with_name("vulnix")
SCANNER = shutil.which("osv-scanner")
RECORDED = Path(__file__).with_name("osv-scanner.json")
"""What osv-scanner 2.5.0 said of the files and databases that `test_the_real_scanner` makes."""
TEXT = Known("golang.org/x/text", "0.8.0", "CVE-2099-0002", None, "A parser that never ends")
REQUESTS = Known("requests", "2.29.0", "CVE-2099-0001", 9.8, "Requests sends what it should not")


def nvd(cve: str, product: str, fixed: str, score: float) -> dict[str, Any]:
    """An entry of the National Vulnerability Database's feed, as far as vulnix reads it."""
    match = {"vulnerable": True, "cpe23Uri": f"cpe:2.3:a:x:{product}:*:*:*:*:*:*:*:*", "versionEndExcluding": fixed}
    return {
        "cve": {
            "CVE_data_meta": {"ID": cve},
            "description": {"description_data": [{"lang": "en", "value": f"{product} | reads\nbeyond its end. " + "x" * 200}]},
        },
        "configurations": {"nodes": [{"operator": "OR", "cpe_match": [match]}]},
        "impact": {"baseMetricV3": {"cvssV3": {"baseScore": score}}},
    }


@pytest.fixture
def mirror() -> Iterator[str]:
    """A mirror of the database that knows of three vulnerabilities of this year."""
    entries = [
        nvd("CVE-2099-1000", "openssl", "3.0.8", 9.8),
        nvd("CVE-2099-1001", "openssl", "3.0.8", 5.3),
        nvd("CVE-2099-1002", "hello", "1.0", 7.5),
    ]

    class Feed(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            items = entries if f"-{date.today().year}." in self.path else []
            body = gzip.compress(json.dumps({"CVE_Items": items}).encode())
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Feed)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Derivations as Nix writes them, and a `nix` that names them as those of a closure."""
    patched = {"openssl-3.0.7": "/nix/store/a-CVE-2099-1001.patch", "hello-2.12": ""}
    info = {}
    for name, patches in patched.items():
        drv = tmp_path / f"{name}.drv"
        drv.write_text(
            f'Derive([("out","/x/{name}","","")],[],[],"x86_64-linux","/bin/sh",[],[("name","{name}"),("patches","{patches}")])'
        )
        info[f"/nix/store/{name}"] = {"deriver": str(drv)}
    info["/nix/store/gone"] = {"deriver": "/nix/store/gone.drv"}
    nix = tmp_path / "nix"
    nix.write_text(f"#!/bin/sh\ncat <<'E'\n{json.dumps(info)}\nE\n")
    nix.chmod(0o755)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{VULNIX.parent}:{tmp_path}:/usr/bin:/bin")
    return tmp_path


@pytest.mark.skipif(not VULNIX.exists(), reason="vulnix is not in this environment")
def test_the_real_vulnix(store: Path, mirror: str) -> None:
    found = of_closures(["/nix/store/system"], mirror)
    (only,) = found.known
    assert (only.package, only.version, only.id, only.score) == ("openssl", "3.0.7", "CVE-2099-1000", 9.8)
    assert only.text.startswith("openssl / reads beyond its end.") and len(only.text) <= 120
    assert found.left == ["systems: 1 of 3 store paths have no derivation here"]


@pytest.mark.skipif(not VULNIX.exists(), reason="vulnix is not in this environment")
def test_a_database_that_cannot_be_had_is_said(store: Path) -> None:
    found = of_closures(["/nix/store/system"], "http://127.0.0.1:1/")
    assert not found.known and "systems: vulnix could not look (" in found.left[-1]


def test_without_the_programs_it_is_said_how_they_are_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "pip install vulnix" in of_closures(["/nix/store/x"]).left[0]
    assert "go install github.com/google/osv-scanner" in of_pins(tmp_path).left[0]
    assert of_closures([]) == Scan()


def pins(folder: Path) -> None:
    """Lock files that name a package each of which something is known."""
    (folder / "packages/aether-engine/go/tool").mkdir(parents=True)
    (folder / "packages/aether-engine/go/tool/go.mod").write_text("module tool\n\ngo 1.26\n\nrequire golang.org/x/text v0.8.0\n")
    (folder / "uv.lock").write_text(
        'version = 1\nrequires-python = ">=3.11"\n\n[[package]]\nname = "requests"\nversion = "2.29.0"\n'
        'source = { registry = "https://pypi.org/simple" }\n'
    )


@pytest.mark.skipif(
    SCANNER is None, reason="osv-scanner is not installed: go install github.com/google/osv-scanner/v2/cmd/osv-scanner"
)
def test_the_real_scanner(tmp_path: Path) -> None:
    """With databases of one entry each, and no network."""
    pins(tmp_path)
    entries = {
        "PyPI": {
            "id": "GHSA-aaaa-bbbb-cccc", "aliases": ["CVE-2099-0001"], "summary": REQUESTS.text,
            "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
            "affected": [{
                "package": {"ecosystem": "PyPI", "name": "requests"},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.30.0"}]}],
            }],
        },
        "Go": {
            "id": "GO-2099-0002", "aliases": ["CVE-2099-0002"], "summary": TEXT.text,
            "affected": [{
                "package": {"ecosystem": "Go", "name": "golang.org/x/text"},
                "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": "0.9.0"}]}],
            }],
        },
    }  # fmt: skip
    databases = tmp_path / "databases"
    for ecosystem, entry in entries.items():
        file = databases / "osv-scalibr" / ecosystem / "all.zip"
        file.parent.mkdir(parents=True)
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(
                f"{entry['id']}.json", json.dumps({"schema_version": "1.6.0", "modified": "2026-01-01T00:00:00Z"} | entry)
            )
    offline = tmp_path / "offline"
    offline.write_text(f'#!/bin/sh\nexec {SCANNER} "$@" --offline\n')
    offline.chmod(0o755)
    found = of_pins(tmp_path, [str(offline)], {"OSV_SCALIBR_LOCAL_DB_CACHE_DIRECTORY": str(databases)})
    assert not found.left
    assert sorted((each, each.score, each.text) for each in found.known) == [
        (TEXT, TEXT.score, TEXT.text),
        (REQUESTS, REQUESTS.score, REQUESTS.text),
    ]


def scanner(folder: Path, code: int, said: str, why: str = "") -> list[str]:
    """A program that ends with CODE and has SAID that."""
    (folder / "said").write_text(said)
    program = folder / "scanner"
    program.write_text(f"#!/bin/sh\ncat {folder}/said\necho '{why}' >&2\nexit {code}\n")
    program.chmod(0o755)
    return [str(program)]


def test_what_the_scanner_said_is_read_again(tmp_path: Path) -> None:
    found = of_pins(tmp_path, scanner(tmp_path, 1, RECORDED.read_text()))
    assert sorted((each, each.score) for each in found.known) == [(TEXT, None), (REQUESTS, 9.8)]


@pytest.mark.parametrize(
    ("code", "said", "left"),
    [
        (127, '{"results": []}', ["Python and Go: osv-scanner could not look (no network)"]),
        (1, "no JSON", ["Python and Go: osv-scanner could not look (no network)"]),
        (128, "", []),
        (0, '{"results": []}', []),
    ],
)
def test_a_failure_is_not_taken_for_nothing_known(tmp_path: Path, code: int, said: str, left: list[str]) -> None:
    assert of_pins(tmp_path, scanner(tmp_path, code, said, "no network")) == Scan(set(), left)


def test_the_report_says_what_is_fixed_first() -> None:
    old = Scan({Known("openssl", "3.0.7", "CVE-1", 9.8, "bad"), Known("zlib", "1", "CVE-2", 4.0)}, ["systems: one"])
    new = Scan({Known("zlib", "2", "CVE-2", 4.0), Known("curl", "8", "GHSA-3")}, ["systems: one", "Python: no"])
    assert (
        report(old, new)
        == """## Known vulnerabilities

**1 fixed**

| package | vulnerability | CVSS | |
|---|---|---|---|
| openssl 3.0.7 | [CVE-1](https://nvd.nist.gov/vuln/detail/CVE-1) | **9.8** | bad |

**1 brought**

| package | vulnerability | CVSS | |
|---|---|---|---|
| curl 8 | [GHSA-3](https://osv.dev/vulnerability/GHSA-3) | - |  |

**1 still there**

| package | vulnerability | CVSS | |
|---|---|---|---|
| zlib 2 | [CVE-2](https://nvd.nist.gov/vuln/detail/CVE-2) | 4 |  |

Not looked at:

- systems: one
- Python: no
"""
    )
    assert "None is known of what was looked at." in report(None, Scan(left=["Python: no"]))
    assert report(None, Scan()).endswith("None is known.\n")


def test_a_long_table_is_cut_at_the_lowest_scores() -> None:
    many = Scan({Known(f"p{number:03}", "1", "CVE-9", number / 10) for number in range(40)})
    text = report(None, many)
    assert "| p039 1 |" in text and "| p005 1 |" not in text and "| … | and 10 of a lower score | | |" in text


def test_the_command_compares_the_hosts_that_change_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = tmp_path / "fleet"
    pins(repository)
    (repository / "inventory").mkdir()
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one"]):
        subprocess.run(["git", *words], cwd=repository, check=True)
    asked: list[tuple[str, ...]] = []

    def closures(paths: list[str], *_: str) -> Scan:
        asked.append(tuple(paths))
        return Scan({Known("openssl", paths[0][-5:], "CVE-1", 9.8)} if "3.0.7" in paths[0] else set())

    def built(attributes: Any, nix: str, place: Path = repository) -> list[str]:
        return [f"/nix/store/{name}-{'3.0.8' if place == repository else '3.0.7'}" for name in attributes]

    for module in ("ops.vulnerabilities", "ops.changed"):
        monkeypatch.setattr(f"{module}.REPOSITORY", repository)
    monkeypatch.setattr("ops.vulnerabilities.changed_hosts", lambda base: {"web": "web"})
    monkeypatch.setattr("ops.vulnerabilities.nixos_hosts", lambda place: {"web": "web", "db": "db"})
    monkeypatch.setattr("ops.vulnerabilities.built", built)
    monkeypatch.setattr("ops.vulnerabilities.of_closures", closures)
    recorded = scanner(tmp_path, 1, RECORDED.read_text())
    monkeypatch.setattr(vulnerabilities, "program", lambda name, nix="nix": recorded)
    text = tmp_path / "update.md"
    text.write_text("## Newer pins\n")
    assert command(Stack("sim"), ["--base", "HEAD", "--append", str(text)]) == 0
    said = capsys.readouterr().out
    assert asked == [("/nix/store/web-3.0.8",), ("/nix/store/web-3.0.7",)]
    assert "**1 fixed**" in said and "**2 still there**" in said and "brought" not in said
    assert text.read_text().startswith("## Newer pins\n\n## Known vulnerabilities")
    assert not subprocess.run(["git", "status", "--short"], cwd=repository, capture_output=True, check=True).stdout

"""What `retire` says is left to do: in order, with the secrets that others share, and the files that git has."""

import subprocess
from pathlib import Path

import pytest

from inventory.keeping import Secret
from ops import leftovers
from ops.leftovers import to_do


def secret(file: str, key: str, shared: str, *, rotates: bool = True) -> Secret:
    return Secret(file, key, (), None, "the door", shared, "token", None, rotates)


KNOWN = [
    secret("hosts/web.yaml", "ssh_host_ed25519_key", "web/ssh_host_ed25519_key"),
    secret("hosts/web.yaml", "oidc-web", "oidc-web"),
    secret("hosts/keycloak.yaml", "oidc-web", "oidc-web"),
    secret("hosts/web.yaml", "api", "api", rotates=False),
    secret("hosts/dns.yaml", "api", "api", rotates=False),
    secret("hosts/web.yaml", "own", "web/own"),
]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in (
        "nix/hosts/pve/web.nix",
        "nix/hosts/pve/web-other.nix",
        "secrets/hosts/web.yaml",
        "nix/hosts/pve/box/default.nix",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x\n")
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    (tmp_path / "nix/hosts/untracked").mkdir()
    (tmp_path / "nix/hosts/untracked/web.nix").write_text("x\n")
    return tmp_path


def commands(steps: list[str]) -> list[str]:
    return [step.split("  # ")[0].strip() for step in steps]


def test_what_is_left_is_said_in_its_order(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_known", lambda path: KNOWN)
    steps = to_do(repository, "web", "homelab", deleted=False)
    assert commands(steps) == [
        "make up STACK=homelab",
        "./aether secrets rotate keycloak/oidc-web",
        "./aether secrets set dns api",
        "git rm nix/hosts/pve/web.nix secrets/hosts/web.yaml",
        "./aether secrets rekey",
        "./aether --stack homelab retire web --delete",
    ]
    assert "keycloak/oidc-web, too: opens the door" in steps[1]
    assert "# only its service takes a new one: it has seen this one" in steps[2]


def test_when_the_guest_is_gone_only_the_repository_is_left(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_known", lambda path: [])
    assert commands(to_do(repository, "web", "sim", deleted=True))[0].startswith("git rm ")
    assert commands(to_do(repository, "box", "sim", deleted=True)) == ["git rm -r nix/hosts/pve/box"]
    assert to_do(repository, "nobody", "sim", deleted=True) == []


def test_secrets_that_cannot_be_listed_keep_nothing_from_being_retired(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[str]:
        raise ValueError("no")

    monkeypatch.setattr(leftovers, "all_files", broken)
    assert commands(to_do(repository, "web", "sim", deleted=False))[0] == "make up STACK=sim"

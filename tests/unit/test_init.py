"""`aether init`: what its questions refuse, and that what is interrupted was never there. The whole of it: tests/system."""

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.fleet import public_key
from inventory.keys import new_ssh_key
from ops import upstream
from ops.init import command, fleet, make, questions
from ops.stack import OpsError, Stack

KEY = f"{public_key('ada')} ada"


def answers(tmp_path: Path, text: str) -> questions.Answers:
    file = tmp_path / "answers.toml"
    file.write_text(text)
    return questions.read_file(file)


def test_every_question_has_a_default_but_the_key(tmp_path: Path) -> None:
    found = answers(tmp_path, f'ssh_key = "{KEY}"\n')
    assert list(found) == [question.name for question in questions.QUESTIONS]
    addresses = [found[name] for name in ("gateway", "container_address", "vm_address")]
    assert addresses == ["192.168.1.1", "192.168.1.12", "192.168.1.13"]


def test_the_file_of_questions_is_an_answers_file(tmp_path: Path) -> None:
    text = re.sub(r"(?m)^ssh_key = .*", f'ssh_key = "{KEY}"', questions.as_file())
    assert answers(tmp_path, text)["node"] == "pve"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('domain = "Home"', "domain: 'Home' is not a domain name"),
        ('user = "root"', "user: 'root' has no need of an account"),
        ('timezone = "Berlin"', "timezone: 'Berlin' is not an IANA time zone"),
        ('node = "My Node"', "node: 'My Node' is not a host name"),
        ('node_address = "192.168.1.11"', "lacks its network's prefix"),
        ('node_address = "192.168.1.0/24"', "is the network's own or its broadcast address"),
        ('node_address = "192.168.1/24"', "is not an IPv4 address with its network's prefix"),
        ('gateway = "192.168.2.1"', "gateway: '192.168.2.1' is outside the node's network 192.168.1.0/24"),
        ('gateway = "192.168.1.11"', "gateway: '192.168.1.11' is the node's"),
        (
            'container_address = "10.0.0.1"',
            "is outside the node's network 192.168.1.0/24; write one of 192.168.1.1 to 192.168.1.254",
        ),
        ('container_address = "192.168.1.255"', "is the network's own or its broadcast address"),
        ('vm_address = "192.168.1.12"', "vm_address: '192.168.1.12' is the container's"),
        ('vm = "dns"', "vm: 'dns' is the container's name already"),
        ('container = "local-vm"', "is a machine of Aether's own"),
        ("node_memory = 4", "node_memory: '4' is not a number of GiB from 8 up"),
        ('node_cpu = "many"', "is not a number of threads from 1 up"),
        ("node_cpu = true", 'is no text; write node_cpu = "…"'),
        ('storage = "my storage"', "is not the id of a storage"),
        ('bridge = "br 0"', "is not the name of a bridge"),
        ('brigde = "vmbr0"', "brigde: nobody asks that, did you mean 'bridge'?"),
        ('site = ""', "site: is missing"),
        ('timezone = "Europe/Berln"', "'Europe/Berln' is no time zone, did you mean 'Europe/Berlin'? write one like"),
    ],
)
def test_what_is_wrong_is_named_with_what_to_write(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(OpsError) as error:
        answers(tmp_path, f'ssh_key = "{KEY}"\n{line}\n')
    assert said in str(error.value)
    assert str(error.value).startswith(f"{tmp_path}/answers.toml: ")


def test_a_machine_that_knows_no_time_zones_takes_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneinfo.available_timezones", set)
    assert answers(tmp_path, f'ssh_key = "{KEY}"\ntimezone = "Europe/Berln"')["timezone"] == "Europe/Berln"


def test_every_error_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OpsError) as error:
        answers(tmp_path, f'ssh_key = "{KEY}"\nsite = "A B"\nstorage = "a b"\nnode_address = "x"\n')
    assert [line.split(": ")[1] for line in str(error.value).splitlines()] == ["site", "node_address", "storage"]


def test_the_key_is_a_public_one(tmp_path: Path) -> None:
    private, public = new_ssh_key("ada")
    (tmp_path / "id").write_text(private)
    (tmp_path / "id.pub").write_text(f"{public} ada\n")
    (tmp_path / "other").write_text("hello\n")
    assert answers(tmp_path, f'ssh_key = "{tmp_path}/id.pub"')["ssh_key"] == f"{public} ada"
    for value, said in (
        (tmp_path / "id", f"is a private key, which belongs to nobody else; write the public one: {tmp_path}/id.pub"),
        (tmp_path / "other", "is not an SSH public key"),
        (tmp_path / "none", "is neither an SSH public key nor a file with one"),
        (f"{public[:-4]}", "paste the whole line"),
    ):
        with pytest.raises(OpsError) as error:
            answers(tmp_path, f'ssh_key = "{value}"')
        assert said in str(error.value)
    with pytest.raises(OpsError, match="quotation mark"):
        answers(tmp_path, f"ssh_key = '{public} a\"b'")


@pytest.mark.parametrize(
    ("text", "said"),
    [("site = home", "is not TOML"), (None, "No such file"), (b"\xff\xfe", "is no text")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str | bytes | None, said: str) -> None:
    file = tmp_path / "answers.toml"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(OpsError, match=said):
        questions.read_file(file)


def test_a_question_is_asked_until_its_answer_does() -> None:
    typed = iter(["", "", "", "ada", "hello", KEY, "", "10.1.2.3", "10.1.2.3/16", *[""] * 9])
    said: list[str] = []
    asked: list[str] = []

    def read(prompt: str) -> str:
        asked.append(prompt)
        return next(typed)

    found = questions.ask(read, said.append)
    assert (found["user"], found["node_address"], found["gateway"]) == ("ada", "10.1.2.3/16", "10.1.0.1")
    assert [line.split("'")[1] for line in said] == ["hello", "10.1.2.3"]
    assert "[home.arpa]" in asked[1]


def test_the_files_of_a_fleet_are_what_was_answered(tmp_path: Path) -> None:
    text = f'ssh_key = "{KEY}"\nsite = "attic"\nnode = "box"\nnode_address = "10.1.2.3/16"\nstorage = "tank"\nbridge = "vmbr1"\n'
    files = fleet.files(answers(tmp_path, text))
    said = tomllib.loads(files["inventory/homelab.toml"])
    assert said["nodes"]["box"]["address"] == "10.1.2.3" and said["nodes"]["box"]["memory"] == 16384
    assert said["nodes"]["box"]["disk_datastore"] == "tank"
    assert said["networks"]["servers"] == {
        "cidr": "10.1.0.0/16", "gateway": "10.1.0.1", "nameservers": ["10.1.0.1"], "bridge": "vmbr1"
    }  # fmt: skip
    assert {"nix/hosts/box/dns.nix", "nix/hosts/box/apps.nix"} <= set(files)
    assert not [name for name, text in files.items() if re.search(r"\$[a-z]", text)]


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A repository that could be Aether: enough of it to be taken."""
    path = tmp_path / "aether"
    (path / "ops/init").mkdir(parents=True)
    (path / "ops/init/not-taken").write_text("# Theirs\nREADME.md\n")
    (path / "README.md").write_text("Aether's\n")
    (path / "code.py").write_text("")
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "Aether"]):
        subprocess.run(["git", *words], cwd=path, check=True)
    yield path


@pytest.mark.parametrize("where", ["_take", "_secrets", "_keep"])
def test_what_is_interrupted_leaves_nothing(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv(command.CALLER, str(work))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(command, "REPOSITORY", checkout)
    monkeypatch.setattr(make, "tool", lambda name: name)
    if where == "_keep":
        monkeypatch.setattr(make, "_secrets", lambda *_: None)
    monkeypatch.setattr(make, where, interrupted)
    (tmp_path / "answers.toml").write_text(f'ssh_key = "{KEY}"\n')
    assert command.init(Stack("sim"), ["fleet", "--answers", str(tmp_path / "answers.toml")]) == 130
    assert "Interrupted: nothing was made." in capsys.readouterr().err
    assert list(work.iterdir()) == []
    assert not (tmp_path / "home/.config").exists()


def test_nothing_is_written_over_beside_the_owners_key(tmp_path: Path) -> None:
    """Another fleet's root key, say, which nobody could make again."""
    keys, owner = tmp_path / "keys", tmp_path / "age/keys.txt"
    for number in ("one", "two"):
        keys.mkdir(exist_ok=True)
        if not owner.exists():
            (keys / "keys.txt").write_text("the owner's")
        else:
            (keys / "keys.txt").unlink(missing_ok=True)
            (keys / "keys.txt").symlink_to(owner)
        (keys / make.ROOT_KEY).write_text(number)
        make._keep(keys, owner, "attic")
    assert owner.read_text() == "the owner's"
    assert [(tmp_path / f"age/attic-pki-root.key{end}").read_text() for end in ("", ".2")] == ["one", "two"]


@pytest.mark.parametrize(
    ("target", "said"),
    [("file", "is a file"), ("none/fleet", "does not exist. Fix: mkdir -p"), ("full", "is not empty. Nothing was changed")],
)
def test_a_target_that_cannot_be_is_refused(tmp_path: Path, target: str, said: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full/mine").mkdir(parents=True)
    with pytest.raises(OpsError, match=said):
        make.check_target(tmp_path / target)


def test_without_a_terminal_it_says_how_to_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "tool", lambda name: name)
    monkeypatch.setattr("sys.stdin", (tmp_path / "none").open("w+"))
    with pytest.raises(OpsError, match=r"--questions > answers\.toml"):
        command.init(Stack("sim"), [str(tmp_path / "fleet")])
    with pytest.raises(OpsError, match="DIRECTORY is missing"):
        command.init(Stack("sim"), [])


def test_upgrades_come_from_where_the_checkout_came_from(tmp_path: Path, checkout: Path) -> None:
    assert make.source(checkout) == str(checkout)
    subprocess.run(["git", "clone", "-q", str(checkout), str(tmp_path / "clone")], check=True)
    assert make.source(tmp_path / "clone") == str(checkout)
    (tmp_path / "clone/code.py").write_text("mine = 1\n")
    assert make.uncommitted(tmp_path / "clone")
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    subprocess.run(["git", "commit", "-qam", "Mine"], cwd=tmp_path / "clone", check=True, env={**os.environ, **who})
    # Nobody else has that commit.
    assert make.source(tmp_path / "clone") == str(tmp_path / "clone")


def test_a_commit_that_is_made_elsewhere_is_by_who_commits_in_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that only the repository's own configuration knows is no other repository's."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    subprocess.run(["git", "init", "-q", str(tmp_path / "fleet")], check=True)
    for key, value in (("user.name", "Ada <x> L"), ("user.email", "ada@example.org")):
        subprocess.run(["git", "config", key, value], cwd=tmp_path / "fleet", check=True)
    who = upstream.identity(tmp_path / "fleet")
    assert (who["GIT_AUTHOR_NAME"], who["GIT_COMMITTER_EMAIL"]) == ("Ada x L", "ada@example.org")
    with upstream.scratch() as aether:
        aether.path.mkdir(parents=True)
        upstream.git("init", "-q", "--bare", at=aether.path)
        tree = upstream.git("mktree", at=aether.path, stdin="").strip()
        assert aether.record(tree, "One", who=who)

"""Orders: what is written, that OpenSSH takes the signature, and where they lie."""

import base64
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from components.requests import DeployRequest
from inventory.building import Cache
from inventory.generate import new_signing_key, public_half
from inventory.load import Inventory, load
from inventory.models import takes_orders
from ops.orders import leaving
from ops.orders.document import NAMESPACE, NONE, Order, parsed, signed
from ops.orders.place import Place, PlaceError
from ops.stack import Stack

ORDER = Order("laptop", f"/nix/store/{'a' * 32}-nixos", "source:ab", "ada@desk", "0123+", 200, 100, 300, 60, 2, "a.service b*")
KEY = new_signing_key()
LAPTOP = load(Path("inventory/homelab.toml")).hosts["laptop"]
STACK = Stack("homelab")
DAY = 86400


@dataclass
class Left:
    """What a run said, what it could not do, what lies at the cache afterwards, and what was built."""

    said: list[str]
    failed: list[str]
    order: Order | None
    built: list[str]


def verified(document: str, key: str, tmp_path: Path, namespace: str = NAMESPACE) -> bool:
    """Whether OpenSSH finds that KEY, a public key as Nix writes it, has signed DOCUMENT."""
    text, begin, rest = document.partition("-----BEGIN")
    raw = base64.b64decode(key.partition(":")[2])
    blob = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + raw).decode()
    (tmp_path / "signers").write_text(f'fleet namespaces="{NAMESPACE}" ssh-ed25519 {blob}\n')
    (tmp_path / "signature").write_text(begin + rest)
    line = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "fleet", "-n", namespace, "-s", "signature"]
    return subprocess.run(line, input=text, text=True, cwd=tmp_path, capture_output=True, check=False).returncode == 0


def test_openssh_takes_what_the_fleets_key_signed_and_nothing_else(tmp_path: Path) -> None:
    document = signed(ORDER, KEY)
    public = public_half("nix-key", KEY)
    assert verified(document, public, tmp_path)
    assert not verified(document.replace("settle 2", "settle 3"), public, tmp_path)
    assert not verified(document, public_half("nix-key", new_signing_key()), tmp_path)
    assert not verified(document, public, tmp_path, namespace="file")
    with pytest.raises(ValueError, match="no secret key"):
        signed(ORDER, public)


def test_a_document_is_read_as_it_was_written() -> None:
    assert parsed(signed(ORDER, KEY)) == ORDER
    bare = replace(ORDER, may_fail="", closure=NONE, desired=NONE)
    assert parsed(signed(bare, KEY)) == bare and bare.withdrawn and not ORDER.withdrawn
    for other in ("", "<html>", ORDER.text().replace("order 1", "order 2"), ORDER.text().replace("at 200\n", "at soon\n")):
        assert parsed(other) is None


def test_who_takes_orders() -> None:
    """As nix/lib/orders.nix has it (tests/nix/test_orders.py)."""
    cache = Cache(push="s3://cache", pull="https://cache.example.org")
    assert takes_orders(LAPTOP, cache)
    assert not takes_orders(LAPTOP, None)
    assert not takes_orders(LAPTOP, Cache(push="s3://cache")), "it asks over HTTP"
    for field, value in (("roams", False), ("pulls", False), ("build_on", "target")):
        assert not takes_orders(LAPTOP.model_copy(update={field: value}), cache)


def test_a_folder_is_a_place(tmp_path: Path) -> None:
    place = Place(f"file://{tmp_path}/a%20cache?compression=zstd")
    assert place.read("laptop") is None
    place.write("laptop", "one")
    place.write("laptop", "two")
    assert place.read("laptop") == "two" and (tmp_path / "a cache/orders/laptop").read_text() == "two"
    (tmp_path / "file").touch()
    with pytest.raises(PlaceError, match="orders"):
        Place(f"file://{tmp_path}/file").write("laptop", "one")


class Web(BaseHTTPRequestHandler):
    """A web server that takes files by PUT."""

    kept: ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        text = self.kept.get(self.path)
        self.send_response(404 if text is None else 200)
        self.end_headers()
        self.wfile.write((text or "").encode())

    def do_PUT(self) -> None:
        if "refused" in self.path:
            self.send_response(405)
        else:
            self.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self.send_response(201)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_web_server_is_a_place(web: str) -> None:
    place = Place(f"{web}/cache/?compression=zstd")
    assert place.read("laptop") is None
    place.write("laptop", "one")
    assert place.read("laptop") == "one" and "/cache/orders/laptop" in Web.kept
    with pytest.raises(PlaceError, match=r"405.*PUT below orders/"):
        Place(f"{web}/refused").write("laptop", "one")
    with pytest.raises(PlaceError, match="does not answer"):
        Place("http://127.0.0.1:9").read("laptop")


def test_a_bucket_is_a_place(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of one's own: the bucket is below its name, and the operator's keys sign."""
    pytest.importorskip("boto3")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ada")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    asked: list[str] = []
    monkeypatch.setattr(Web, "send_response", _noting(asked))
    place = Place(f"s3://nix-cache?region=eu-central-1&scheme=http&endpoint={web.removeprefix('http://')}")
    assert place.read("laptop") is None
    asked.clear()
    place.write("laptop", "one")
    assert asked[0].startswith("AWS4-HMAC-SHA256 Credential=ada/") and "/eu-central-1/s3/" in asked[0]
    assert place.read("laptop") == "one" and Web.kept["/nix-cache/orders/laptop"] == "one"


def _noting(asked: list[str]):  # type: ignore[no-untyped-def]
    plain = BaseHTTPRequestHandler.send_response

    def send_response(self: Web, code: int, message: str | None = None) -> None:
        asked.append(str(self.headers.get("Authorization")))
        plain(self, code, message)

    return send_response


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Left]:
    """A run for a laptop of which the repository has WANTED, and the state KNOWN."""
    known = load(Path("inventory/homelab.toml"))
    cache = Cache(push=f"file://{tmp_path}/cache", pull="https://cache.example.org")
    inventory = Inventory(known.path, known.content.model_copy(update={"cache": cache}))
    built: list[str] = []

    def system(office: leaving._Office, name: str, host: object) -> tuple[str, str]:
        built.append(office.wanted[name])
        return f"/nix/store/{'a' * 32}-{office.wanted[name].replace(':', '-')}", "0123"

    monkeypatch.setattr(leaving._Office, "_built", system)

    def run(wanted: str, known: str = "", *, away: bool = True, now: int = 0, but: tuple[str, ...] = ()) -> Left:
        office = leaving._Office(STACK, Place(cache.push), KEY, {"laptop": wanted}, {"laptop": known})
        monkeypatch.setattr(leaving._Office, "of", lambda *_: office)
        monkeypatch.setattr("ops.orders.leaving.time.time", lambda: 1_800_000_000 + now)
        said: list[str] = []
        built.clear()
        failed = leaving.leave(STACK, inventory, ["laptop"] if away else [], but, said.append)
        return Left(said, failed, parsed(Place(cache.push).read("laptop") or ""), list(built))

    return run


def test_who_is_away_is_left_what_the_state_does_not_have(left: Callable[..., Left]) -> None:
    assert left("source:1", "source:1") == Left([], [], None, [])
    assert left("source:2", "source:1", but=("laptop",)) == Left([], [], None, [])
    first = left("source:2", "source:1")
    assert first.order and (first.order.desired, first.order.host, first.built) == ("source:2", "laptop", ["source:2"])
    assert first.order.expires == first.order.at + leaving.LIFE and first.order.since == first.order.at == 1_800_000_000
    assert "is left an order for" in first.said[0] and not first.failed
    again = left("source:2", "source:1", now=DAY)
    assert (again.order, again.built) == (first.order, []) and "lies at the cache already" in again.said[0]
    renewed = left("source:2", "source:1", now=20 * DAY)
    assert renewed.order and (renewed.order.since, renewed.order.at) == (first.order.since, first.order.at + 20 * DAY)


def test_what_is_wanted_takes_the_place_of_what_was(left: Callable[..., Left]) -> None:
    first = left("source:2", "source:1")
    # The repository went back to what the state has; the host may have taken the order. Of two in a second one is newer.
    back = left("source:1", "source:1")
    assert first.order and back.order and (back.order.desired, back.order.at) == ("source:1", first.order.at + 1)
    # Also where it is here: no deployment knows of it.
    left("source:2", "source:1")
    here = left("source:1", "source:1", away=False, now=5)
    assert here.order and here.order.desired == "source:1"


def test_an_order_is_taken_back_when_its_host_is_here(left: Callable[..., Left]) -> None:
    assert left("source:1", "source:1", away=False) == Left([], [], None, [])
    first = left("source:2", "source:1")
    home = left("source:2", "source:2", away=False)
    assert first.order and home.order and home.order.withdrawn and home.order.at == first.order.at + 1
    assert left("source:2", "source:2", away=False).said == []
    # What was taken back is no order, and is older than the next one.
    assert left("source:2", "source:2").said == []
    later = left("source:3", "source:2")
    assert later.order and (later.order.desired, later.order.at) == ("source:3", home.order.at + 1)


def test_what_somebody_else_laid_there_is_no_order(left: Callable[..., Left], tmp_path: Path) -> None:
    first = left("source:2", "source:1")
    assert first.order
    Place(f"file://{tmp_path}/cache").write("laptop", signed(replace(first.order, desired="source:3"), new_signing_key()))
    again = left("source:3", "source:1")
    assert again.built == ["source:3"] and again.order and again.order.closure.endswith("source-3")


def test_what_cannot_be_left_is_said(left: Callable[..., Left], tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    assert "laptop: no order could be left" in left("source:2", "source:1").failed[0]


def test_what_it_means_to_be_away() -> None:
    known = load(Path("inventory/homelab.toml"))
    workstation = known.hosts["workstation"].model_copy(update={"roams": True})
    hosts = {**known.hosts, "workstation": workstation}
    plain = Inventory(known.path, known.content.model_copy(update={"hosts": hosts}))
    assert leaving.said_of_away(plain, ["laptop", "workstation"]) == [
        "laptop, workstation are away: their changes wait for the first run that finds them",
        "A [cache] over HTTP would let laptop take them alone (docs/rollout.md)",
    ]
    cached = Inventory(known.path, plain.content.model_copy(update={"cache": Cache(push="https://cache")}))
    assert leaving.said_of_away(cached, ["laptop", "workstation"]) == [
        "workstation is away: its changes wait for the first run that finds it",
        "laptop is away: its changes are left at the cache for it to take",
    ]
    request = {"AETHER_HOST": "laptop", "AETHER_DESIRED": "source:2"}
    step = {"op": "update", "newState": {"inputs": {"create": DeployRequest.program(), "environment": request}}}
    assert "it is left an order" in leaving.foreseen(STACK, cached, [step])["laptop"]
    assert "waits for the next `up`" in leaving.foreseen(STACK, plain, [step])["laptop"]
    assert leaving.foreseen(STACK, cached, [{**step, "op": "same"}]) == {}

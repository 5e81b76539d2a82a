"""What a changed field does and who reads it: said beside every field, and what docs/proxmox.md prints."""

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import BaseModel

from inventory import effects, reference
from inventory.effects import GUEST
from inventory.marks import DEPLOYMENT, AtAws, AtGuest, ByKind, ReadBy, When, at_aws, at_guest, fields, marks
from inventory.models import HOSTS, Cloud, CloudVm, DataDisk, Disk, Guest, Network, Node, Site

MARKED: tuple[type[BaseModel], ...] = (*HOSTS, Disk, Network, Site, Node, Cloud, DataDisk)


def silent(model: type[BaseModel]) -> list[str]:
    """Fields of MODEL beside which it is not said what a change of them does, or who reads them."""
    wanted: tuple[type, ...] = (AtGuest, ByKind, AtAws, ReadBy, str)
    if issubclass(model, Guest):
        wanted = (AtGuest, ByKind)
    elif issubclass(model, CloudVm | Cloud | DataDisk):
        wanted = (AtAws,)
    return [
        f"{model.__name__}.{field}"
        for field in model.model_fields
        if not any(mark == DEPLOYMENT or isinstance(mark, wanted) for _, mark in marks(model, field))
    ]


@pytest.mark.parametrize("model", MARKED, ids=lambda model: model.__name__)
def test_a_field_says_what_a_change_of_it_does(model: type[BaseModel]) -> None:
    assert silent(model) == [], "say it beside the field, with a mark of inventory/marks.py"


def test_a_field_that_says_nothing_is_named() -> None:
    class Speechless(Guest):
        plain: int
        aws: Annotated[int, AtAws.UPDATE]
        read: Annotated[int, ReadBy.ALL]
        said: Annotated[int, AtGuest.UPDATE]

    assert silent(Speechless) == ["Speechless.plain", "Speechless.aws", "Speechless.read"]


def test_a_mark_is_read_with_the_kind_and_the_case_that_it_is_of() -> None:
    class Marked(BaseModel):
        disk: Annotated[int, AtGuest.UPDATE, When("disk shrinks", ByKind(vm=AtGuest.REFUSED)), AtAws.LOST, ReadBy.NOBODY] = 1
        plain: int = 2

    assert at_guest(Marked) == {"disk": (AtGuest.UPDATE, AtGuest.UPDATE), "disk shrinks": (AtGuest.REFUSED, None)}
    assert at_aws(Marked) == {"disk": AtAws.LOST}
    assert fields(Marked, ReadBy.NOBODY) == {"disk"}
    assert list(marks(Marked, "plain")) == []


def test_kinds_agree_on_who_reads_a_field_of_one_name() -> None:
    """A host's sources leave fields out by their names."""
    readers: dict[str, set[frozenset[object]]] = {}
    for model in HOSTS:
        for field in model.model_fields:
            said = {mark for _, mark in marks(model, field) if isinstance(mark, ReadBy)} - {ReadBy.ALL}
            readers.setdefault(field, set()).add(frozenset(said))
    assert [field for field, said in readers.items() if len(said) > 1] == []


def test_the_document_holds_the_current_table() -> None:
    text = Path("docs/proxmox.md").read_text()
    assert effects.replace_block(text) == text, "./aether inventory effects --write docs/proxmox.md"


def test_the_page_of_fields_says_what_a_change_does() -> None:
    page = reference.page()
    sections = {part.partition("\n")[0]: part for part in page.split("\n## ")}

    def change(model: str, field: str) -> str:
        row = next(line for line in sections[model].splitlines() if line.startswith(f"| `{field}` |"))
        return row.removesuffix(" |").rpartition(" | ")[2]

    assert change("NixosVm", "memory") == AtGuest.PENDING and change("NixosLxc", "memory") == AtGuest.UPDATE
    assert change("NixosVm", "address") == AtGuest.UPDATE and change("NixosCloudVm", "address") == AtAws.REPLACE
    assert change("NixosMetal", "address") == ""
    assert change("NixosMetal", "ssh_port") == DEPLOYMENT and change("NixosCloudVm", "ssh_port") == AtAws.UPDATE
    assert change("Node", "cpu_type") == f"virtual machine: {AtGuest.PENDING}"
    assert change("Disk", "size").endswith(f"; a disk shrinks: guest: {AtGuest.REFUSED}")
    assert change("Cloud", "zone_id") == f"AWS: {AtAws.ZONE}"


def test_what_needs_a_new_guest_is_never_done_without_the_word() -> None:
    needs_new = {field for field, kinds in GUEST.items() if AtGuest.REPLACE in kinds}
    assert needs_new == {"kind", "vmid", "unprivileged"}

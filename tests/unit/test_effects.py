"""The table of what a changed field does to a guest: complete, and what docs/proxmox.md prints."""

from pathlib import Path

from pydantic import BaseModel

from inventory import effects
from inventory.effects import DEPLOYMENT, GUEST, Effect
from inventory.models import NixosLxc, NixosVm


def test_every_field_of_a_guest_has_its_effect() -> None:
    models: tuple[type[BaseModel], ...] = (NixosVm, NixosLxc)
    for index, model in enumerate(models):
        declared = {field for field, kinds in GUEST.items() if kinds[index] is not None} | DEPLOYMENT | {"disks"}
        assert set(model.model_fields) == declared, model.__name__


def test_the_document_holds_the_current_table() -> None:
    text = Path("docs/proxmox.md").read_text()
    assert effects.replace_block(text) == text, "./aether inventory effects --write docs/proxmox.md"


def test_what_needs_a_new_guest_is_never_done_without_the_word() -> None:
    needs_new = {field for field, kinds in GUEST.items() if Effect.REPLACE in kinds}
    assert needs_new == {"kind", "vmid", "unprivileged"}

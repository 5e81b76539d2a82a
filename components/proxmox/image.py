"""The NixOS image that guests are born from: a VM disk image or an LXC template."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Literal

import pulumi
import pulumi_command as command
import pulumi_proxmoxve as proxmox
from pydantic import Field

from components.base import Args, Component, Operator
from components.requests import ImageRequest, local_command
from inventory.files import REPOSITORY

_FORMATS = {
    # flake output, extension, Proxmox content type
    "vm": ("proxmox-vm", "qcow2", "import"),
    "lxc": ("proxmox-lxc", "tar.xz", "vztmpl"),
}


# What an import has not: where the file came from is this machine's, and how it was brought says nothing of it.
_BROUGHT = ("sourceFile", "overwrite", "timeoutUpload", "uploadMode")


class NixosImageArgs(Args):
    guest: Literal["vm", "lxc"] = Field(description="What is born from it.")
    environment: str = Field(default="", description="Before the file's name: environments on one node have their own.")
    version: str = Field(description="Hash of the image's sources; a new one builds and uploads a new file.")
    datastores: dict[str, str] = Field(min_length=1, description="Proxmox node to the datastore that takes images.")
    existing: dict[str, str] = Field(
        default={}, description="Node to the volume id of this image, where the node has it and the state does not: imported."
    )
    imported: frozenset[str] = Field(default=frozenset(), description="Nodes whose file the state has from an import.")
    after: dict[str, pulumi.Resource] = Field(default={}, description="Node to what its upload waits for.")
    operator: Operator
    provider: pulumi.ProviderResource = Field(description="The proxmoxve provider.")


class NixosImage(Component):
    """Builds one image and uploads it once to each node.

    The build runs once a version; the file that it leaves is this machine's. Where an upload comes later, or on another machine,
    the file is made when the upload needs it: taken from the cache, or built. One that is not needed is not looked for.

    Creates:
        - ``command:local:Command``: the build (``nix build``), into ``.aether/images/``.
        - ``proxmoxve:FileLegacy`` a node: the upload, over the API; the file that is there, where it is.

    Outputs:
        files: node name to volume id, like ``local:import/nixos-vm-0123456789ab.qcow2``.
    """

    build: command.local.Command
    uploads: dict[str, proxmox.FileLegacy]

    def __init__(self, name: str, args: NixosImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:proxmox:NixosImage", name, opts)
        attribute = _FORMATS[args.guest][0]
        path = built_file(args.guest, args.version)
        file_name = stored_name(args.guest, args.version, args.environment)
        request = ImageRequest(nix=args.operator.nix, image=attribute, output=path, desired=f"source:{args.version}")
        self.build = local_command(name, request, self.child())
        made = pulumi.ResourceHook(f"{name}-file", _made(request))
        self.uploads = {
            node: proxmox.FileLegacy(
                f"{name}-{node}",
                node_name=node,
                datastore_id=datastore,
                content_type=content_type(args.guest),
                # Of the build's result, so that an upload waits for it; the value itself is known at preview.
                source_file=proxmox.FileLegacySourceFileArgs(path=path, file_name=file_name),
                # A file of this name holds this content (the name has its hash): one that an interrupted run left is taken over.
                overwrite=True,
                opts=self.child(
                    provider=args.provider,
                    depends_on=[self.build, *([args.after[node]] if node in args.after else [])],
                    hooks=pulumi.ResourceHookBinding(before_create=[made]),
                    ignore_changes=_ignored(node, args),
                    import_=f"{node}/{args.existing[node]}" if node in args.existing else None,
                ),
            )
            for node, datastore in args.datastores.items()
        }
        self.files = {node: upload.id for node, upload in self.uploads.items()}
        self.done({"files": self.files})


def _ignored(node: str, args: NixosImageArgs) -> list[str]:
    """What says nothing of the file on NODE. Its name says what it holds."""
    if node in args.existing:
        return list(_BROUGHT)
    # The provider calls a file changed that is not on this machine, or was built on another day.
    return ["sourceFile"] if node in args.imported else ["sourceFile.changed"]


def built_file(guest: Literal["vm", "lxc"], version: str) -> str:
    """Where the build leaves the image of this VERSION, below the repository."""
    return f".aether/images/{stored_name(guest, version, '')}"


def stored_name(guest: Literal["vm", "lxc"], version: str, environment: str) -> str:
    """The file's name on a node."""
    name = f"nixos-{guest}-{version[:12]}.{_FORMATS[guest][1]}"
    return f"{environment}-{name}" if environment else name


def content_type(guest: Literal["vm", "lxc"]) -> str:
    """What Proxmox calls files of its kind."""
    return _FORMATS[guest][2]


def _made(request: ImageRequest) -> Callable[[pulumi.ResourceHookArgs], Awaitable[None]]:
    """A hook that has the image's file made, unless it is there."""

    async def run(_: pulumi.ResourceHookArgs) -> None:
        process = await asyncio.create_subprocess_exec(
            request.program(), cwd=REPOSITORY, env={**os.environ, **request.variables()},
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said = (await process.communicate())[1]
        if process.returncode:
            raise RuntimeError(f"FAILED: the image could not be built for its upload\n{said.decode(errors='replace')[-2000:]}")

    return run

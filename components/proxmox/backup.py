"""Backups of whole guests, made by Proxmox on a schedule (vzdump)."""

import pulumi
import pulumi_proxmoxve as proxmox
from pydantic import Field

from components.base import Args, Component, Number
from inventory.proxmox import Backup


class BackupJobArgs(Args):
    facts: Backup
    vmids: tuple[Number, ...] = Field(min_length=1, description="Guests of the job.")
    provider: pulumi.ProviderResource = Field(description="The proxmoxve provider.")


class BackupJob(Component):
    """One job of the cluster (Datacenter, Backup).

    Creates:
        - ``proxmoxve:backup:Job``.

    Outputs:
        id: the job's id.
    """

    job: proxmox.backup.Job

    def __init__(self, name: str, args: BackupJobArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("aether:proxmox:BackupJob", name, opts)
        facts = args.facts
        keep = {f"keep-{kind}": str(count) for kind, count in facts.keep.model_dump().items() if count}
        self.job = proxmox.backup.Job(
            name,
            resource_id=name,
            schedule=facts.schedule,
            storage=facts.storage,
            mode=facts.mode,
            vmids=[pulumi.Output.from_input(vmid).apply(str) for vmid in args.vmids],
            prune_backups=keep,
            mailtos=list(facts.mailto) or None,
            mailnotification="failure" if facts.mailto else None,
            notes_template="{{guestname}} by Aether",
            # One that was missed because its node was off is made up for.
            repeat_missed=True,
            enabled=True,
            opts=self.child(provider=args.provider),
        )
        self.done({"id": self.job.resource_id})

"""What colmena and deploy-rs do to a fleet of NixOS hosts: the commands that their sources have, over the same SSH servers.

The programs themselves need a Nix that evaluates. Both are given one `nix build` for all hosts, as the playbooks are; each
of theirs would be at least that.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from bench.ansible import ssh_config
from bench.fleet import Fleet
from bench.measure import BenchError, timed
from bench.stack import BenchStack

# Of colmena: `--parallel`, by default.
COLMENA_PARALLEL = 10
_PROFILE = "/nix/var/nix/profiles/system"


class NixTool:
    """One of the two, over all hosts of a stack's fleet. Neither asks a host what it runs, or a check of its health."""

    def __init__(self, stack: BenchStack, fleet: Fleet, name: str) -> None:
        self.stack, self.fleet, self.name = stack, fleet, name
        path = stack.path / ".aether/bench" / name
        path.mkdir(parents=True, exist_ok=True)
        self.config = ssh_config(stack, path, pinned=True)
        self.nix = stack.path / "packages/aether-sim/src/aether_sim/operator/nix"

    def run(self) -> float:
        """Seconds of `colmena apply`, or of `deploy`, proved to have left every host with what was built."""
        begun = time.monotonic()
        wanted = dict(zip(self.fleet.names, self._build(), strict=True))
        {"colmena": self._colmena, "deploy-rs": self._deploy_rs}[self.name](wanted)
        seconds = time.monotonic() - begun
        systems = self.stack.systems()
        wrong = [host for host, system in wanted.items() if systems.get(host) != system]
        if wrong:
            raise BenchError(f"{self.name} left {len(wrong)} hosts with another system: {', '.join(wrong[:5])}")
        return seconds

    def _build(self) -> list[str]:
        hosts = [f'.#nixosConfigurations."{host}".config.system.build.toplevel' for host in self.fleet.names]
        command: list[str | Path] = [self.nix, "build", "--no-link", "--print-out-paths", *hosts]
        return timed(command, cwd=self.stack.path, env=self.stack.base_environment).text.split()

    def _colmena(self, wanted: dict[str, str]) -> None:
        """src/nix/deployment/mod.rs, src/nix/host/ssh.rs: each host for itself, ten at a time."""

        def host(name: str) -> None:
            self._copy(name, wanted[name])
            self._ssh(name, f"nix-env --profile {_PROFILE} --set {wanted[name]}")
            self._ssh(name, f"{wanted[name]}/bin/switch-to-configuration switch")

        each(COLMENA_PARALLEL, (partial(host, name) for name in self.fleet.names))

    def _deploy_rs(self, wanted: dict[str, str]) -> None:
        """src/cli.rs, src/deploy.rs, src/bin/activate.rs: every copy, then every activation, one after the other. An activation
        is confirmed over a second connection, which removes the file that the first one waits for."""
        for name in self.fleet.names:
            self._copy(name, wanted[name])
        for name in self.fleet.names:
            canary = f"/run/deploy-rs-canary-{name}"
            wait = f"until [ -e {canary} ]; do sleep 0.05; done"
            switch = f"nix-env -p {_PROFILE} --set {wanted[name]} && {_PROFILE}/bin/switch-to-configuration switch"
            activate = f"{switch} && : >{canary} && while [ -e {canary} ]; do sleep 0.05; done"

            def confirm(name: str = name, wait: str = wait, canary: str = canary) -> None:
                self._ssh(name, wait)
                self._ssh(name, f"rm {canary}")

            each(2, (partial(self._ssh, name, activate), confirm))

    def _copy(self, host: str, path: str) -> None:
        environment = {**self.stack.base_environment, "NIX_SSHOPTS": f"-F {shlex.quote(str(self.config))}"}
        command: list[str | Path] = [
            self.nix,
            "copy",
            "--no-check-sigs",
            "--substitute-on-destination",
            "--to",
            f"ssh-ng://{host}",
            path,
        ]
        timed(command, cwd=self.stack.path, env=environment)

    def _ssh(self, host: str, command: str) -> None:
        timed(["ssh", "-F", self.config, host, "--", command], cwd=self.stack.path, env=self.stack.base_environment, timeout=300)


def each(parallel: int, work: Iterable[Callable[[], Any]]) -> None:
    """Do all of WORK, PARALLEL at a time; the first error is raised."""
    with ThreadPoolExecutor(parallel) as pool:
        for done in [pool.submit(one) for one in work]:
            done.result()

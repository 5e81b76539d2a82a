"""A simulated host that scripts deploy, and the environment in which its operator does, without the engine."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from aether_sim.paths import REPO, SOURCES
from aether_sim.testing import INVENTORY, Outcome, Simulator
from components.health.checks import check_lines
from inventory.models import TcpCheck, UnitCheck

SCRIPTS = Path("components/nixos/scripts")
CHECKS = check_lines((UnitCheck(unit="web.service", timeout=5), TcpCheck(tcp=8080, timeout=5)))
PROFILE = "/nix/var/nix/profiles/system"


@dataclass
class Host:
    """Host `metal` of a simulator, and the environment in which an operator deploys it."""

    sim: Simulator
    environment: dict[str, str] = field(default_factory=dict)
    systems: int = 0

    def deploy(self, *, new: bool = True, script: str = "deploy.sh", **environment: str) -> Outcome:
        """Run a script of the operator's side; NEW gives the host a system that it never ran."""
        if new:
            self.change()
        return self.sim.script(str(SCRIPTS / script), {**self._operator(), **self.environment, **environment})

    def change(self) -> None:
        """Give the host's sources another content."""
        self.systems += 1
        text = INVENTORY.replace('kind = "nixos-metal"\n', f'kind = "nixos-metal"\ndescription = "system {self.systems}"\n')
        self.sim.inventory.write_text(text)

    def built(self) -> str:
        """The system of the host's sources, on the host."""
        attribute = '.#nixosConfigurations."metal".config.system.build.toplevel'
        path = self.sim.nix("build", "--no-link", "--print-out-paths", attribute).out.strip()
        copied = self.sim.copied(path)
        assert copied.code == 0, copied.err
        return path

    def on_host(self, script: str, *arguments: str, stdin: str = "") -> Outcome:
        """Run a script of the host's side, as the operator's scripts do."""
        text = "\n".join((REPO / SCRIPTS / name).read_text() for name in ("../../health/scripts/health.sh", "host.sh", script))
        return self.sim.ssh("metal", f"bash -c {shlex.quote(text)} aether {shlex.join(arguments)}", stdin)

    def says(self, command: str) -> str:
        return self.sim.ssh("metal", command).out.strip()

    def state(self) -> tuple[str, str, str]:
        """What it runs, what it will boot, and what the last deployment left it with."""
        commands = ("readlink -f /run/current-system", f"readlink -f {PROFILE}", "cat /var/lib/aether/deployed 2>/dev/null")
        running, boots, recorded = (self.says(command) for command in commands)
        return running, boots, recorded

    def armed(self) -> bool:
        return self.sim.ssh("metal", "systemctl is-active aether-revert.timer").code == 0

    def _operator(self) -> dict[str, str]:
        return {
            "AETHER_HOST": "metal",
            "AETHER_HOSTNAME": "metal",
            "AETHER_FLAKE": "metal",
            "AETHER_DESIRED": f"source:{self.systems}",
            "AETHER_CHECKS": CHECKS,
            "AETHER_SETTLE": "1",
            "AETHER_CONFIRM_TIMEOUT": "5",
            "AETHER_REBOOT": "ask",
            "AETHER_BUILD_ON": "operator",
            "AETHER_NIX": str(SOURCES / "aether_sim/operator/nix"),
            "AETHER_WAIT": "0",
            **self.sim.secrets(),
        }


DEPLOY = 'kind = "nixos-metal"\nssh_user = "deploy"\n'


class DeployedByUser(Host):
    """Host `metal`, whose inventory and SSH configuration name the account `deploy`."""

    def __init__(self, sim: Simulator) -> None:
        super().__init__(sim)
        self.login("deploy")

    def login(self, user: str) -> None:
        """Have the SSH configuration name USER."""
        text = self.sim.config.read_text()
        start = text.index("Host metal\n")
        end = text.index("Host ", start + 1)
        block = "".join(f" User {user}\n" if line.startswith(" User") else f"{line}\n" for line in text[start:end].splitlines())
        self.sim.config.write_text(text[:start] + block + text[end:])

    def change(self) -> None:
        self.systems += 1
        self.sim.inventory.write_text(INVENTORY.replace('kind = "nixos-metal"\n', f'{DEPLOY}description = "{self.systems}"\n'))

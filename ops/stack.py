"""Running the Pulumi engine for a stack."""

import contextlib
import json
import os
import secrets
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from inventory.files import REPOSITORY
from inventory.problems import explained
from ops import locks, secrets_provider
from ops.authority import authorities
from ops.causes import refusals
from ops.events import ENVIRONMENT, Event, EventLog
from ops.progress import ProgressPrinter

AETHER = REPOSITORY / ".aether"
PAGES = REPOSITORY / "docs/errors"
"""What each exit code of a deployment means: CODE.md."""
LANGUAGE_HOST = REPOSITORY / "ops/language_host"
"""What the engine's language host asks Python for, and gets sooner."""
# They stand in one simulated datacentre.
SIMULATED = tuple(sorted(path.stem.removeprefix("Pulumi.") for path in REPOSITORY.glob("Pulumi.sim*.yaml")))
# Stack: setting that holds while another stack is deployed, that stack, the output that shows it, the value. The homelab asks the
# cloud for its images; the cloud asks nobody.
REFERENCES = {
    "sim": ("aether:cloudStack", "sim-cloud", "images", "organization/aether/sim-cloud"),
    "sim-cloud": ("aether:proveWayHome", "sim", "addresses", "true"),
}


class OpsError(Exception):
    """A command of the operator's cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Stack:
    """A stack by name. Simulated ones have a backend, a passphrase and a configuration of their own under .aether/."""

    name: str

    @property
    def simulated(self) -> bool:
        return self.name in SIMULATED

    @property
    def config_file(self) -> Path:
        """What `pulumi --config-file` is given, for a simulated stack."""
        return AETHER / "sim" / f"Pulumi.{self.name}.yaml"

    def setting(self, key: str) -> str | None:
        """A plain setting `aether:KEY` of the stack's configuration file."""
        path = self.config_file if self.simulated else REPOSITORY / f"Pulumi.{self.name}.yaml"
        return settings_in(path).get(key) if path.exists() else None

    @property
    def phase(self) -> int:
        """The last phase of the migration that it deploys; 9 where it does not say."""
        return int(self.setting("phase") or 9)

    def environment(self) -> dict[str, str]:
        """Environment of the engine: the project's tools first, and for a simulated stack its own backend and keys."""
        path = os.pathsep.join([str(AETHER / "engine/bin"), str(REPOSITORY / ".venv/bin"), os.environ.get("PATH", "")])
        own = {
            "PATH": path,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            **ENVIRONMENT,
            # Engine and plugins live for seconds: Go's collector would save a few hundred MB, and takes a fifth of their CPU.
            "GOGC": os.environ.get("GOGC", "400"),
            # The SDKs are hundreds of modules: without their bytecode every run compiles them, which takes longer than a preview.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(AETHER / "cache/python"),
            "PYTHONPATH": _first(LANGUAGE_HOST, os.environ.get("PYTHONPATH", "")),
        }
        if (AETHER / "pulumi-home").exists():
            own["PULUMI_HOME"] = str(AETHER / "pulumi-home")
            own["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
        if self.simulated:
            own |= {
                # Without `skip` every file has a second one beside it (.attrs), which is not replaced in one step: an engine that
                # is killed, or that reads while another one writes, finds it empty and refuses the state (EOF).
                "PULUMI_BACKEND_URL": f"file://{AETHER / 'state'}?metadata=skip",
                "PULUMI_CONFIG_PASSPHRASE_FILE": str(_passphrase()),
                "SOPS_AGE_KEY_FILE": str(AETHER / "sim/keys/age.txt"),
            }
        given = dict(os.environ)
        if self.simulated:
            # The owner's, for a real stack: the engine would take it before the file's.
            given.pop("PULUMI_CONFIG_PASSPHRASE", None)
        return {**given, **own, **authorities(self.name, self.setting("proxmoxCa"))}

    def command(self, *arguments: str) -> list[str]:
        """The command line of `pulumi ARGUMENTS` for this stack."""
        own = ["--config-file", str(self.config_file)] if self.simulated and arguments[0] in _TAKE_CONFIG_FILE else []
        return ["pulumi", *arguments, "--stack", self.name, "--non-interactive", *own]

    def hear(self, hear: Callable[[Event], None], *arguments: str) -> int:
        """Run `pulumi ARGUMENTS`, its output going to the terminal, and call HEAR with each engine event; its exit code.

        Ctrl-C reaches the engine, which stops in order.
        """
        with self._events(hear, arguments) as command:
            return _wait(subprocess.Popen(command, env=self.environment(), cwd=REPOSITORY))[0]

    def run_with_progress(self, printer: ProgressPrinter, *arguments: str, wait: float = 0) -> None:
        """Run `pulumi ARGUMENTS`, told by PRINTER; for another operator's engine it waits up to WAIT minutes.

        Raises:
            OpsError: naming every resource that failed, and why; or who has the stack locked.
        """
        refusal = locks.patiently(
            lambda: self._reported(printer, *arguments), wait, lambda text: print(text, flush=True), time.sleep, time.monotonic
        )
        if refusal:
            raise OpsError(locks.explain(self.name, refusal))

    def _reported(self, printer: ProgressPrinter, *arguments: str) -> str:
        """One run; what the engine said when another one has the stack, which changes nothing, else an empty text."""
        log = AETHER / "logs" / f"pulumi-{arguments[0]}-{self.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as kept, printer, self._events(printer.feed, arguments) as command:
            process = subprocess.Popen(command, env=self.environment(), cwd=REPOSITORY, stdout=kept, stderr=subprocess.STDOUT)
            # The terminal tells everybody: scripts end where they are, hosts go back by themselves, the engine writes its state.
            code, interrupted = _wait(process, "\nStops in order, and writes down what was done. Ctrl-C again ends it at once.")
        said = log.read_text(errors="replace")
        if code and locks.refused(said):
            return said
        if code and interrupted:
            raise OpsError(
                f"\nInterrupted.\n{printer.reached()}\nA host that was in the middle goes back by itself, within a minute. "
                "The state has what was done: run the same command again, and it goes on there."
            )
        if code and (reason := secrets_provider.explain(self.name, said) or self._out_of_order(said)):
            raise OpsError(reason)
        if code:
            looked_up = explained(code for code in printer.codes() if (PAGES / f"{code}.md").exists())
            reasons = "\n".join(f"  {reason}" for reason in printer.failures() or refusals(said) or [f"exit code {code}"])
            raise OpsError(
                f"\npulumi {arguments[0]} did not finish:\n{reasons}\n\n"
                f"{printer.reached()}\nThe state has what was done: once the cause is gone, the same command goes on there. "
                f"The whole log: {log.relative_to(REPOSITORY)}" + (f"\n{looked_up}" if looked_up else "")
            )
        return ""

    @contextlib.contextmanager
    def _events(self, hear: Callable[[Event], None], arguments: tuple[str, ...]) -> Iterator[list[str]]:
        """The command line of `pulumi ARGUMENTS` that has HEAR called with each event; another log of them is written as well."""
        words, copy = list(arguments), None
        if "--event-log" in words:
            place = words.index("--event-log")
            copy = Path(words[place + 1])
            del words[place : place + 2]
        with EventLog(AETHER / f"events-{os.getpid()}", hear, copy) as log:
            yield self.command(*words, "--event-log", str(log.path))

    def output(self, *arguments: str) -> str:
        """What `pulumi ARGUMENTS` prints on standard output.

        Raises:
            OpsError: with the engine's message.
        """
        result = subprocess.run(
            self.command(*arguments), env=self.environment(), cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        if result.returncode:
            said = result.stderr.strip() or result.stdout.strip()
            raise OpsError(secrets_provider.explain(self.name, said) or said)
        return result.stdout

    def _out_of_order(self, said: str) -> str:
        """What the engine's words about a state that it refuses mean, and the way out; empty where it said something else."""
        if "snapshot integrity error" not in said:
            return ""
        own = {} if not self.simulated else self.environment()
        names = [name for name in ("PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE") if name in own]
        command = [*(f"{name}={shlex.quote(own[name])}" for name in names), "pulumi", "state", "repair", "--stack", self.name]
        return (
            "The state has resources before those that they depend on, and the engine refuses it. "
            f"Fix: . ops/env.sh, then: {' '.join(command)}   After that: make preview"
        )

    def exists(self) -> bool:
        if self.simulated:
            return (AETHER / f"state/.pulumi/stacks/aether/{self.name}.json").exists()
        return True

    def ensure(self) -> None:
        """Make a simulated stack if it is not there. An owner's stacks are made by the owner (`pulumi stack init`)."""
        if not self.simulated:
            return
        (AETHER / "state").mkdir(parents=True, exist_ok=True)
        # `stack init` writes the encryption salt beside the Pulumi.yaml that it finds: not into the tracked one.
        project = AETHER / "stack-init"
        if not self.exists():
            project.mkdir(parents=True, exist_ok=True)
            (project / "Pulumi.yaml").write_text("name: aether\nruntime: python\n")
            result = subprocess.run(
                ["pulumi", "stack", "init", self.name, "--no-select", "--non-interactive"],
                env=self.environment(),
                cwd=project,
                capture_output=True,
                text=True,
                check=False,
            )
            if result.returncode:
                raise OpsError(f"stack {self.name} could not be made: {result.stderr.strip()}")
        salt = project / f"Pulumi.{self.name}.yaml"
        if salt.exists() and "encryptionsalt" not in self.config_file.read_text():
            made = yaml.safe_load(salt.read_text())["encryptionsalt"]
            with self.config_file.open("a") as handle:
                handle.write(f"encryptionsalt: {made}\n")

    def refer(self) -> None:
        """Name the other simulated stack in this one's settings while that is deployed, as docs/aws.md tells an owner."""
        if self.name not in REFERENCES:
            return
        key, other, output, value = REFERENCES[self.name]
        lines = [line for line in self.config_file.read_text().splitlines() if not line.startswith(f"  {key}:")]
        if output in Stack(other).outputs():
            lines.insert(lines.index("config:") + 1, f"  {key}: '{value}'" if value == "true" else f"  {key}: {value}")
        text = "".join(f"{line}\n" for line in lines)
        if text != self.config_file.read_text():
            self.config_file.write_text(text)

    def outputs(self) -> dict[str, Any]:
        """What a simulated stack exported last, without asking the engine; nothing where it is not deployed."""
        found = (resource.get("outputs") for resource in self._recorded() if resource["type"] == "pulumi:pulumi:Stack")
        return next(found, None) or {}

    def broken_off(self) -> list[str]:
        """Names of the resources whose last creation or update failed half-way.

        The state holds what was asked of them, not what they are: they have to be read back (`--refresh`) before a comparison
        with it means anything.
        """
        resources = self._recorded() if self.simulated else self.resources()
        return sorted({str(resource["urn"]).rsplit("::", 1)[1] for resource in resources if resource.get("initErrors")})

    def to_read_back(self, arguments: Iterable[str] = ()) -> list[str]:
        """What a command has to read back first, by name: what broke off, unless its ARGUMENTS say whether to refresh."""
        if any(word.startswith(("--refresh", "-r")) for word in arguments):
            return []
        return self.broken_off()

    def _recorded(self) -> list[dict[str, Any]]:
        """The resources in a simulated stack's state, without asking the engine; none where it is not deployed."""
        state = AETHER / f"state/.pulumi/stacks/aether/{self.name}.json"
        if not state.exists():
            return []
        return (json.loads(state.read_text())["checkpoint"].get("latest") or {}).get("resources") or []

    def recorded(self) -> list[dict[str, Any]]:
        """The resources in the state as they are written there: nothing is decrypted, and a simulated one asks no engine."""
        return self._recorded() if self.simulated else self.resources()

    def heal(self) -> None:
        """Clear away what a killed engine left on a simulated stack: plugins, its lock, and operations that it never finished.

        Nothing while another engine is at work on it. A guest that was created but not recorded is taken over by the provider
        when it is created again, so an unfinished creation needs nothing but to be forgotten.
        """
        if not self.simulated or not self.exists():
            return
        taken = list((AETHER / f"state/.pulumi/locks/organization/aether/{self.name}").glob("*.json"))
        if any(_alive(json.loads(lock.read_text() or "{}")) for lock in taken):
            return  # Another engine is at work: what is unfinished is its own.
        for attributes in (AETHER / "state/.pulumi").rglob("*.attrs"):
            attributes.unlink()  # An earlier version's; nothing that is needed, and cut short it hides the state.
        for pid in orphaned_plugins():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        for lock in taken:
            lock.unlink(missing_ok=True)
        checkpoint = json.loads((AETHER / f"state/.pulumi/stacks/aether/{self.name}.json").read_text())
        if not ((checkpoint["checkpoint"].get("latest") or {}).get("pending_operations")):
            return
        state = json.loads(self.output("stack", "export"))
        state["deployment"]["pending_operations"] = []
        subprocess.run(
            self.command("stack", "import"), env=self.environment(), cwd=REPOSITORY, input=json.dumps(state), text=True,
            capture_output=True, check=True,
        )  # fmt: skip

    def resources(self) -> list[dict[str, Any]]:
        """The resources in the stack's state."""
        if not self.exists():
            return []
        deployment = json.loads(self.output("stack", "export"))["deployment"]
        return list(deployment.get("resources") or [])


def settings_in(path: Path) -> dict[str, str]:
    """The program's plain settings in a stack's configuration file, as they are written there."""
    config = (yaml.load(path.read_text(), Loader=yaml.BaseLoader) or {}).get("config") or {}
    return {
        key.removeprefix("aether:"): value
        for key, value in config.items()
        if isinstance(value, str) and key.startswith("aether:")
    }


_TAKE_CONFIG_FILE = ("up", "preview", "refresh", "destroy", "config")


def _first(folder: Path, path: str) -> str:
    """PATH with FOLDER before all else."""
    return os.pathsep.join([str(folder), *(other for other in path.split(os.pathsep) if other and other != str(folder))])


def _passphrase() -> Path:
    path = AETHER / "passphrase"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(secrets.token_urlsafe(24))
    return path


def orphaned_plugins() -> list[int]:
    """Plugins of this checkout's engine that outlived it: killed, it ends none, and they wait for it for ever."""
    program = f"{AETHER / 'pulumi-home/plugins'}/".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(program):
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                if b"pulumi" not in Path(f"/proc/{parent}/cmdline").read_bytes():
                    found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue  # It ended meanwhile.
    return found


def _alive(lock: dict[str, Any]) -> bool:
    """Whether the process that took a lock of the file backend is still there (and a Pulumi engine)."""
    try:
        return b"pulumi" in Path(f"/proc/{lock['pid']}/cmdline").read_bytes()
    except (KeyError, FileNotFoundError):
        return False


def _wait(process: "subprocess.Popen[bytes]", stops: str = "") -> tuple[int, bool]:
    """Wait for the engine; its exit code, and whether somebody interrupted it. The terminal's Ctrl-C goes to it too, which STOPS
    says; it is given the time to write its state."""
    interrupted = False
    while True:
        try:
            return process.wait(), interrupted
        except KeyboardInterrupt:
            interrupted = True
            if stops:
                print(stops, flush=True)
            # A second Ctrl-C reaches the engine as well and ends it at once.
            signal.signal(signal.SIGINT, signal.SIG_IGN)

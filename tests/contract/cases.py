"""What deployments ask of a NixOS host, and what it answers: the same of the simulator's fakes and of a real machine.

Cases run in their order, as root. ``$system`` is what the host runs, ``$new`` a system in its store that it never ran, whose
web.service is new or differs, ``$profile`` the system profile.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

PROFILE = "/nix/var/nix/profiles/system"


@dataclass(frozen=True)
class Case:
    """A question in shell, and the exit code and output (a regular expression; both streams) that are the right answer."""

    program: str
    promise: str
    ask: str
    code: int | None
    """None: any but 0."""
    says: str = ""
    source: str = ""
    """Where the answer is from, where the real program is not here to be asked."""
    firmware: bool = False
    """Only a machine with firmware and a boot loader can answer."""


@dataclass(frozen=True)
class Answer:
    """What a host answered."""

    code: int
    said: str


CASES = (
    Case(
        "systemctl",
        "an unknown unit is inactive, and that is its own code",
        "systemctl is-active nothing.service",
        4,
        "^inactive$",
    ),
    Case("systemctl", "is-failed of an unknown unit", "systemctl is-failed nothing.service", 4, "^inactive$"),
    Case(
        "systemctl",
        "what is not loaded cannot be stopped",
        "systemctl stop nothing.service",
        5,
        "Unit nothing.service not loaded",
    ),
    Case(
        "systemctl",
        "what does not exist cannot be started",
        "systemctl start nothing.service",
        5,
        "Unit nothing.service not found",
    ),
    Case(
        "systemd-run",
        "a transient service that fails is failed, and listed as such",
        "systemd-run --quiet --unit=contract-fails sh -c 'echo its last words; exit 3'; "
        "for i in $(seq 100); do systemctl is-failed --quiet contract-fails && break; sleep 0.1; done; "
        "systemctl list-units --all --plain --no-legend --state=failed,auto-restart | cut -d' ' -f1 | grep contract",
        0,
        "^contract-fails.service$",
    ),
    Case("systemctl", "is-failed of a failed one", "systemctl is-failed contract-fails", 0, "^failed$"),
    Case("systemctl", "is-active of a failed one", "systemctl is-active contract-fails", 3, "^failed$"),
    Case(
        "journalctl",
        "it has what a unit said last",
        "journalctl --no-pager -u contract-fails -n 5",
        0,
        "its last words",
    ),
    Case(
        "systemd-run",
        "a name that is taken is refused",
        "systemd-run --quiet --unit=contract-fails true",
        1,
        "contract-fails.service was already loaded or has a fragment file",
    ),
    Case(
        "systemctl",
        "reset-failed forgets it",
        "systemctl reset-failed contract-fails; systemctl is-active contract-fails",
        4,
        "^inactive$",
    ),
    Case(
        "systemd-run",
        "a timer is armed, and fires though nobody is there",
        "systemd-run --quiet --on-active=1 --unit=contract-timer --timer-property=AccuracySec=100ms touch /run/contract-fired; "
        "systemctl is-active contract-timer.timer; "
        "for i in $(seq 300); do [ -e /run/contract-fired ] && break; sleep 0.1; done; test -e /run/contract-fired",
        0,
        "^active$",
    ),
    Case(
        "systemd-run",
        "a timer of a name that is armed is refused",
        "arm='systemd-run --quiet --on-active=600 --unit=contract-twice true'; "
        "$arm; $arm; status=$?; systemctl stop contract-twice.timer; exit $status",
        1,
        "contract-twice.timer was already loaded or has a fragment file",
    ),
    Case(
        "systemd-run",
        "a timer that was stopped is gone, and does not fire",
        "systemd-run --quiet --on-active=600 --unit=contract-armed touch /run/contract-late && systemctl stop "
        "contract-armed.timer; "
        "systemctl is-active contract-armed.timer",
        4,
        "^inactive$",
    ),
    Case(
        "nix-store",
        "a path that no cache has is not to be had",
        "nix-store --realise /nix/store/00000000000000000000000000000000-nothing",
        1,
        "don't know how to build these paths:\n +/nix/store/0+-nothing\nerror: build of '/nix/store/0+-nothing' failed",
    ),
    Case(
        "nix-env", "a path that is not in the store is no system", "nix-env -p $profile --set /etc", 1, "is not in the Nix store"
    ),
    Case(
        "nix-env",
        "a path that the store lacks is no system",
        "nix-env -p $profile --set /nix/store/00000000000000000000000000000000-nothing",
        1,
        "^error: ",
    ),
    Case(
        "nix-env",
        "what the newest generation is already adds none",
        "before=$(readlink $profile); nix-env -p $profile --set $system; [ $(readlink $profile) = $before ]",
        0,
    ),
    Case(
        "nix-env",
        "another system is a new generation",
        "echo $(readlink $profile) >/run/contract-first; nix-env -p $profile --set $new; "
        "readlink $profile >/run/contract-second; readlink -f $profile | grep -qx $new && ! cmp "
        "/run/contract-first /run/contract-second",
        0,
    ),
    Case(
        "nix-env",
        "the current generation cannot be deleted",
        "nix-env -p $profile --delete-generations $(tr -dc 0-9 </run/contract-second)",
        1,
        "cannot delete current version of profile",
    ),
    Case(
        "nix-env",
        "generations are listed",
        "nix-env -p $profile --list-generations | tail -n 1",
        0,
        r"^ *\d+ +\S+ \S+ +\(current\)",
    ),
    Case(
        "nix-env",
        "a rollback leads to the one before",
        "nix-env -p $profile --rollback && [ $(readlink $profile) = $(cat /run/contract-first) ]",
        0,
        r"switching profile from version \d+ to \d+",
    ),
    Case(
        "nix-env",
        "the newest generation is taken again, also by a profile that points elsewhere",
        "nix-env -p $profile --set $new && [ $(readlink $profile) = $(cat /run/contract-second) ]",
        0,
    ),
    Case(
        "nix-env",
        "switching to a generation by its number",
        "nix-env -p $profile --switch-generation $(tr -dc 0-9 </run/contract-first) && [ $(readlink -f $profile) = $system ]",
        0,
    ),
    Case(
        "nix-env",
        "a generation that never was",
        "nix-env -p $profile --switch-generation 9999",
        1,
        "profile version 9999 does not exist",
    ),
    Case("nix-store", "what a profile holds is alive", "nix-store --delete $new", 1, "still alive"),
    Case("nix", "the store has it", "nix --extra-experimental-features nix-command path-info $new", 0, "^/nix/store/"),
    Case(
        "switch-to-configuration",
        "no action is refused",
        "$new/bin/switch-to-configuration",
        1,
        "Usage: .*switch-to-configuration",
    ),
    Case(
        "switch-to-configuration",
        "one at a time",
        "mkdir -p /run/nixos; flock /run/nixos/switch-to-configuration.lock $new/bin/switch-to-configuration test",
        11,
        "Could not acquire lock",
    ),
    Case(
        "switch-to-configuration",
        "dry-activate says what it would do, and does nothing",
        "$new/bin/switch-to-configuration dry-activate; [ $(readlink -f /run/current-system) = $system ]",
        0,
        r"(?s)would stop the following units: web\.service\nwould activate the configuration.*"
        r"would start the following units: web\.service",
    ),
    Case(
        "switch-to-configuration",
        "what it would not stop is said",
        """
        unit=$new/etc/systemd/system/web.service; cp $unit /run/contract-unit; rm $unit
        { cat /run/contract-unit; printf '[Service]\\nX-RestartIfChanged=false\\n'; } >$unit
        $new/bin/switch-to-configuration dry-activate; code=$?
        rm $unit; cp /run/contract-unit $unit
        exit $code""",
        0,
        r"would NOT stop the following changed units: web\.service",
    ),
    Case(
        "switch-to-configuration",
        "what is to be restarted in one go is told apart",
        """
        unit=$new/etc/systemd/system/web.service; cp $unit /run/contract-unit; rm $unit
        { cat /run/contract-unit; printf '[Service]\\nX-StopIfChanged=false\\n'; } >$unit
        $new/bin/switch-to-configuration dry-activate; code=$?
        rm $unit; cp /run/contract-unit $unit
        exit $code""",
        0,
        r"\A(?!.*would stop)(?s:.*)would restart the following units: web\.service",
    ),
    Case(
        "switch-to-configuration",
        "check asks whether it may switch, and does nothing",
        "$new/bin/switch-to-configuration check && [ $(readlink -f /run/current-system) = $system ]",
        0,
        r"Checking switch inhibitors\.\.\. done",
    ),
    Case(
        "switch-to-configuration",
        "an init of another kind is booted, and not switched to",
        """
        file=$new/init-interface-version
        if [ -e $file ]; then mv $file /run/contract-init; fi
        printf 'another' >$file
        $new/bin/switch-to-configuration test; code=$?
        rm $file
        if [ -e /run/contract-init ]; then mv /run/contract-init $file; fi
        [ $(readlink -f /run/current-system) = $system ] && exit $code""",
        100,
        "incompatible with the current configuration",
    ),
    Case(
        "switch-to-configuration",
        "what inhibits a switch is named, and nothing changes",
        """
        for each in $system:dbus $new:broker; do
          file=${each%:*}/switch-inhibitors
          if [ -e $file ]; then mv $file /run/contract-${each##*:}; fi
          printf '{"dbus": "%s"}' ${each##*:} >$file
        done
        $new/bin/switch-to-configuration test; code=$?
        for each in $system:dbus $new:broker; do
          rm ${each%:*}/switch-inhibitors
          if [ -e /run/contract-${each##*:} ]; then mv /run/contract-${each##*:} ${each%:*}/switch-inhibitors; fi
        done
        [ $(readlink -f /run/current-system) = $system ] && exit $code""",
        1,
        r"(?s)changes to critical components of the system:.*dbus : dbus -> broker.*Pre-switch check",
    ),
    Case(
        "switch-to-configuration",
        "test activates, and leaves profile and boot entry",
        "$new/bin/switch-to-configuration test && [ $(readlink -f /run/current-system) = $new ] && [ $(readlink "
        "-f $profile) = $system ]",
        0,
        r"(?s)stopping the following units: web\.service\nactivating the configuration.*"
        r"starting the following units: web\.service",
    ),
    Case("switch-to-configuration", "its unit runs", "systemctl is-active web.service", 0, "^active$"),
    Case(
        "switch-to-configuration",
        "what had failed before is forgotten",
        """
        systemd-run --quiet --unit=contract-earlier false
        for i in $(seq 100); do systemctl is-failed --quiet contract-earlier && break; sleep 0.1; done
        $new/bin/switch-to-configuration test || exit
        systemctl is-active contract-earlier""",
        4,
        "^inactive$",
    ),
    Case(
        "switch-to-configuration",
        "a new unit that fails is named, and is 4; one that does not is named, too",
        """
        units=$system/etc/systemd/system
        printf '[Service]\\nType=oneshot\\nExecStart=/bin/sh -c "exit 3"\\n' >$units/contract-bad.service
        printf '[Service]\\nExecStart=/bin/sh -c "exec sleep 1000"\\n' >$units/contract-good.service
        for unit in bad good; do ln -s ../contract-$unit.service $units/multi-user.target.wants/; done
        $system/bin/switch-to-configuration test; code=$?
        rm $units/contract-* $units/multi-user.target.wants/contract-*
        exit $code""",
        4,
        r"(?s)the following new units were started: .*contract-good\.service.*"
        r"warning: the following units failed: contract-bad\.service",
    ),
    Case(
        "switch-to-configuration",
        "a script of the activation that fails is 2, and the units are started all the same",
        """
        systemctl stop contract-good; systemctl reset-failed
        mv $new/activate /run/contract-activate 2>/dev/null
        printf '#!/bin/sh\\n[ ! -e /run/contract-activate ] || /run/contract-activate; exit 1\\n' >$new/activate
        chmod +x $new/activate
        $new/bin/switch-to-configuration test; code=$?
        rm $new/activate
        if [ -e /run/contract-activate ]; then mv /run/contract-activate $new/activate; fi
        exit $code""",
        2,
        r"(?s)Failed to run activate script.*starting the following units: web\.service",
    ),
    Case(
        "switch-to-configuration",
        "back to the system before",
        "$system/bin/switch-to-configuration test && [ $(readlink -f /run/current-system) = $system ]",
        0,
    ),
    Case(
        "switch-to-configuration",
        "boot writes an entry of each generation, and changes nothing that runs",
        "$system/bin/switch-to-configuration boot >/dev/null && grep -lF init=$new/init "
        "/boot/loader/entries/*.conf >/dev/null && "
        "grep -hF init=$system/init /boot/loader/entries/*.conf >/dev/null && [ $(readlink -f /run/current-system) = $system ]",
        0,
    ),
    Case("bootctl", "where the boot partition is", "bootctl --print-boot-path", 0, "^/boot$", firmware=True),
    Case(
        "bootctl",
        "an entry is armed for one try by its name without its tries",
        "entry=$(grep -lF init=$new/init /boot/loader/entries/*.conf | tail -n 1); "
        "bootctl set-oneshot $(basename $entry | sed -E 's/[+][0-9]+(-[0-9]+)?[.]conf$/.conf/') && bootctl set-oneshot ''",
        0,
        firmware=True,
    ),
)

# What the machine runs by a Python of its own: one connection for all cases.
_DRIVER = """
import json, os, subprocess, sys
asked = json.loads(sys.argv[1])
answers = []
for case in asked["cases"]:
    done = subprocess.run(["bash", "-c", case], env={**os.environ, **asked["env"]}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=600)
    answers.append([done.returncode, done.stdout])
print(json.dumps(answers))
"""


def answers(run: Callable[[str, str], str], cases: Sequence[Case], environment: Mapping[str, str]) -> dict[Case, Answer]:
    """What a host answers to CASES, asked with ENVIRONMENT. RUN runs a command on it with a standard input, and gives what it
    printed.
    """
    asked = {"cases": [case.ask for case in cases], "env": dict(environment)}
    found = json.loads(run(f"python3 - {_quoted(json.dumps(asked))}", _DRIVER).splitlines()[-1])
    return {case: Answer(code, said.strip()) for case, (code, said) in zip(cases, found, strict=True)}


def system_answers(
    run: Callable[[str, str], str], system: str, new: str, cases: Sequence[Case] | None = None
) -> dict[Case, Answer]:
    """What a NixOS host that runs SYSTEM, and has NEW in its store, answers to CASES (default: all)."""
    return answers(run, CASES if cases is None else cases, {"system": system, "new": new, "profile": PROFILE})


def named(case: Case) -> str:
    """A test's name."""
    return f"{case.program}: {case.promise}"


def disagreement(case: Case, answer: Answer) -> str:
    """How ANSWER is not the one that CASE wants; empty where it is."""
    right = answer.code != 0 if case.code is None else answer.code == case.code
    if right and re.search(case.says, answer.said, re.MULTILINE):
        return ""
    return f"{case.program}: {case.promise}\n{json.dumps(asdict(case), indent=1)}\nanswered {answer.code}:\n{answer.said}"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"

"""Systems that a host can only be booted into."""

from tests.lab.disk import REPOSITORY
from tests.lab.operator import Operator
from tests.lab.units import units

# What nix/modules/boot.nix makes of boot-trial.sh.
TRIAL = (
    "[Unit]\nDescription=trial\nDefaultDependencies=no\nAfter=systemd-remount-fs.service\nBefore=shutdown.target\n"
    "Conflicts=shutdown.target\nRequiresMountsFor=/var/lib/aether\nConditionPathExists=/var/lib/aether/boot-trial\n"
    "[Service]\nType=exec\nExecStart=/usr/bin/bash -e /run/boot-trial.sh /var/lib/aether/boot-trial 22\n"
)
TRIAL_SCRIPT = (REPOSITORY / "nix/modules/boot-trial.sh").read_text()


def bootable(web: Operator, seconds: int, dbus: str) -> str:
    """One with the unit that ends trial boots, which notes each boot; from one with another DBUS it cannot be switched to."""
    notes = f"cat >/run/boot-trial.sh <<'SCRIPT'\n{TRIAL_SCRIPT}SCRIPT\nreadlink /run/booted-system >>/var/lib/booted"
    more = units(seconds, **{"aether-boot-trial": TRIAL})
    return web.system(units=more, inhibitors={"dbus-implementation": dbus}, activation=notes)

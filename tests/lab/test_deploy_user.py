"""A host that is deployed without being root: a real systemd, sshd, sudo and Nix daemon, and the program that sudo starts."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.lab.container import ContainerNetwork
from tests.lab.disk import NIX, nix
from tests.lab.operator import Operator, Outcome
from tests.lab.units import SLEEP

pytestmark = pytest.mark.timeout(1800)

ENTRY = "sudo -n /run/current-system/etc/aether/host 1"
# What nix/modules/deploy-user.nix says to NixOS, said to Debian.
ACCOUNT = """
id deploy >/dev/null 2>&1 || useradd --system --user-group --no-create-home --home-dir /var/empty --shell /bin/bash deploy
mkdir -p /etc/ssh/authorized_keys.d
cp /root/.ssh/authorized_keys /etc/ssh/authorized_keys.d/deploy
cat >/etc/ssh/sshd_config.d/10-deploy.conf <<'END'
PermitRootLogin no
AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/authorized_keys.d/%u
Match User deploy
  DisableForwarding yes
  PermitTTY no
Match all
END
cat >/etc/sudoers.d/deploy <<'END'
deploy ALL=(root) NOPASSWD: /run/current-system/etc/aether/host
Defaults!/run/current-system/etc/aether/host env_keep += "SSH_CONNECTION", !use_pty
END
chmod 0440 /etc/sudoers.d/deploy
systemctl reload ssh
"""
NO_ACCOUNT = """
rm -f /etc/ssh/sshd_config.d/10-deploy.conf /etc/sudoers.d/deploy
systemctl reload ssh
"""
DAEMON = """[Unit]
Description=Nix daemon
[Service]
ExecStart=/usr/bin/nix-daemon
KillMode=process
"""
HEALTH = [{"unit": "web.service"}, {"command": "test $(id -u) = 0"}]


class User(Operator):
    """Logs in as `deploy`, whatever the container's own configuration says."""

    user = "deploy"

    def system(self, **facts: object) -> str:
        units = {"nix-daemon.service": DAEMON, "web.service": SLEEP.format(f"{self.systems + 1}d")}
        given = {"units": units, "deploy": True, "health": HEALTH, "activation": ACCOUNT}
        return super().system(**{**given, **facts})

    def environment(self, drv: str, checks: str) -> dict[str, str]:
        return {**super().environment(drv, checks), "AETHER_SSH_CONFIG": str(self.config())}

    def config(self) -> Path:
        text = self.machine.configure([self.machine]).read_text()
        path = self.work / "user_config"
        path.write_text(text.replace("  User root\n", f"  User {self.user}\n"))
        return path

    def says(self, command: str, text: str = "", *options: str) -> Outcome:
        line = ["ssh", "-F", str(self.config()), *options, self.machine.name, command]
        done = subprocess.run(line, input=text, capture_output=True, text=True, timeout=300, check=False)
        return Outcome(done.returncode, done.stdout, done.stderr)

    def runs(self) -> str:
        return self.says("readlink -f /run/current-system").out.strip()

    def boots(self) -> str:
        return self.says("readlink -f /nix/var/nix/profiles/system").out.strip()


@pytest.fixture(scope="module")
def host(site: ContainerNetwork) -> User:
    """A machine that knows root alone, then deployed by its operator, who wants to be `deploy`."""
    made = site.container("web", 41)
    # sudo asks for the machine's own name, and there is no resolver.
    made.write("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 web\n")
    made.install(site.base.system(name="web", units={"web.service": SLEEP.format("9d")}, tries=3))
    plain = made.start().operator()
    user = User(plain.machine, plain.work)
    first = user.system()
    done = user.deploy(first)
    assert done.code == 0, done.err
    assert "as root until its new system is there" in done.err
    assert user.runs() == user.boots() == user.built(first)
    return user


def test_root_is_not_let_in_and_the_account_deploys_and_goes_back(host: User) -> None:
    assert host.says("true", "", "-l", "root").code == 255
    assert host.says("id -un").out == "deploy\n"
    before = host.runs()
    drv = host.system()
    done = host.deploy(drv)
    assert done.code == 0, done.err
    assert host.runs() == host.boots() == host.built(drv) != before
    last = json.loads(host.says("tail -n 1 /var/lib/aether/deployments.jsonl").out)
    assert (last["outcome"], last["from"]) == ("deployed", "10.77.0.1")
    back = host.deploy("-", script="rollback.sh")
    assert back.code == 0, back.err
    assert host.runs() == host.boots() == before


def test_its_systems_own_checks_decide_and_not_what_it_says(host: User) -> None:
    before = host.runs()
    sick = host.system(health=[{"command": "false", "timeout": 1}])
    done = host.deploy(sick, "command\ttouch /tmp/run-by-the-caller\t-\t5\n")
    assert done.code == 31, done.err
    assert "not healthy after activation: command false" in done.err
    assert host.runs() == before
    assert host.says("test -e /tmp/run-by-the-caller").code == 1
    told = json.loads(host.says(f"{ENTRY} status 10.77.0.41 yes").out)
    assert (told["unhealthy"], told["current"]) == ([], before)


def test_a_connection_that_breaks_stops_nothing(host: User) -> None:
    drv = host.system(activation=f"{ACCOUNT}\npkill sshd-session || true; sleep 3")
    done = host.deploy(drv)
    assert done.code == 0, done.err
    assert "the connection was lost during the activation" in done.err
    assert host.runs() == host.boots() == host.built(drv)


def test_what_it_put_into_the_store_itself_is_not_activated(host: User) -> None:
    """Anybody may add what is called by its content, and have a system built: neither is signed."""
    shell = "mkdir -p /tmp/evil/bin && printf '#!/bin/sh\\nid >/tmp/pwned\\n' >/tmp/evil/bin/switch-to-configuration"
    path = host.says(f"{shell} && chmod +x /tmp/evil/bin/* && NIX_REMOTE=daemon nix-store --add /tmp/evil").out.strip()
    assert path.startswith("/nix/store/"), path
    refused = host.says(f"{ENTRY} activate web {path} 5 me@here:1 10.77.0.41 0")
    assert refused.code == 2, refused.err
    assert "neither signed by the fleet's key nor a generation of this host" in refused.err
    other = host.work / "other-key"
    other.write_text(nix("key", "generate-secret", "--key-name", "other-1"))
    built = host.built(host.system())
    options = {"NIX_SSHOPTS": f"-F {host.config()}"}
    for more in ([], ["--no-check-sigs"]):
        copy = [str(NIX), "copy", *more, "--to", "ssh-ng://web", built]
        done = subprocess.run(copy, env={**os.environ, **options}, capture_output=True, text=True, check=False)
        assert done.returncode == 1 and "lacks a signature by a trusted key" in done.stderr, done.stderr
    assert host.says("test -e /tmp/pwned").code == 1


@pytest.mark.parametrize(
    "command",
    [
        "sudo -n id",
        "sudo -n -s",
        "sudo -n bash -c id",
        "sudo -n -u nobody id",
        "sudo -n systemctl status",
        "sudo -n /nix/var/nix/profiles/system/etc/aether/../../bin/switch-to-configuration boot",
        "sudo -n -e /etc/shadow",
        "ln -sf /bin/sh /tmp/host; sudo -n /tmp/host -c id",
        "sudo -n PATH=/tmp /run/current-system/etc/aether/host 1 previous web",
        f"{ENTRY} bash -c id",
        f"{ENTRY} previous '$(id)'",
        f"{ENTRY} status 'a[$(id >/tmp/pwned)]' yes",
        f"{ENTRY} metrics ../../../etc/cron.d/x",
        f"{ENTRY} reboot --force",
        f"{ENTRY} host.sh",
        f"{ENTRY} ''",
    ],
)
def test_sudo_does_nothing_else_for_it(host: User, command: str) -> None:
    done = host.says(command, "id\n")
    assert done.code != 0, done.out
    assert "uid=0" not in done.out
    assert host.says("test -e /tmp/pwned").code == 1


def test_what_sudo_says_it_may(host: User) -> None:
    listed = host.says("sudo -n -l")
    rules = [line.strip() for line in listed.out.splitlines() if line.strip().startswith("(")]
    assert rules == ["(root) NOPASSWD: /run/current-system/etc/aether/host"], listed.out


def test_its_environment_does_not_get_in(host: User) -> None:
    lines = "export BASH_ENV=/tmp/rc PATH=/tmp:$PATH AETHER_ACTIVATION_LIMIT='a[$(id)]'; echo 'touch /tmp/pwned' >/tmp/rc"
    fake = "printf '#!/bin/sh\\ntouch /tmp/pwned\\n' >/tmp/hostname; chmod +x /tmp/hostname"
    done = host.says(f"{lines}; {fake}; {ENTRY} previous web")
    assert done.code in (0, 36), done.err
    assert host.says("test -e /tmp/pwned").code == 1
    assert host.says("true", "", "-o", "RequestTTY=force").out == ""


def test_the_way_back_to_root_is_a_deployment(host: User) -> None:
    host.user = "root"
    drv = host.system(deploy=False, activation=NO_ACCOUNT)
    done = host.deploy(drv, "unit\tweb.service\t-\t60\n")
    assert done.code == 0, done.err
    assert "as deploy until its new system is there" in done.err
    assert host.machine.sh("readlink -f /run/current-system") == host.built(drv)
    host.user = "deploy"
    assert host.says("true").code in (0, 255) and host.says("sudo -n -l").code != 0

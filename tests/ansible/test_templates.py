"""What templates say for the hosts of the inventory, rendered by Ansible itself, and where secrets come from."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.ansible.conftest import REPO
from tests.ansible.rendering import KEY, render, run


def test_caddy_serves_public_services_alone(tmp_path: Path) -> None:
    text = render(tmp_path, "public-gateway", "caddy_edge", "Caddyfile.j2")
    for name in ("auth", "home", "coder", "jellyfin"):
        assert f"\n{name}.example.org {{\n\timport home\n}}\n" in text
        assert f"\nhttp://{name}.example.org {{" in text
    assert "grafana" not in text and "bao" not in text
    assert "reverse_proxy https://10.99.0.2 {" in text
    assert "tls_server_name {host}" in text
    assert text.count("{") == text.count("}")


def test_wireguard_knows_the_gateway_alone(tmp_path: Path) -> None:
    text = render(tmp_path, "public-gateway", "wireguard_link", "wg.conf.j2", {"AETHER_SECRET_WIREGUARD_PRIVATE_KEY": KEY})
    assert f"PrivateKey = {KEY}" in text
    assert text.count("[Peer]") == 1
    assert f"PublicKey = {(REPO / 'nix/pki/gateway-wireguard.pub').read_text().strip()}" in text
    assert "AllowedIPs = 10.99.0.2/32" in text
    # The other end is written in the gateway's NixOS configuration.
    other = (REPO / "nix/hosts/oracle/gateway/wireproxy.nix").read_text()
    assert '"10.99.0.2/32"' in other and '"10.99.0.1/32"' in other


def test_relays_of_the_cloud_lead_through_the_link(tmp_path: Path) -> None:
    """Each port that the inventory has listens on the private address, and the gateway at home has it at the other end."""
    source = REPO / "ansible/roles/wireguard_link/templates"
    loop = "{{ aether_relays | dict2items | product(['socket', 'service']) | list }}"
    task: dict[str, object] = {
        "ansible.builtin.template": {
            "src": f"{source}/relay.{{{{ item.1 }}}}.j2",
            "dest": "{{ out }}.{{ item.0.key }}.{{ item.1 }}",
        },
        "loop": loop,
    }
    done, _ = run(tmp_path, "public-gateway", [task], "wireguard_link", {"AETHER_SECRET_WIREGUARD_PRIVATE_KEY": KEY})
    assert done.code == 0, done.output
    for name, port in {"telemetry": 4317, "backups": 2222}.items():
        assert f"\nListenStream=192.168.90.10:{port}\n" in (tmp_path / f"out.{name}.socket").read_text()
        assert f"systemd-socket-proxyd 10.99.0.2:{port}\n" in (tmp_path / f"out.{name}.service").read_text()


def test_monitoring_agent(tmp_path: Path) -> None:
    text = render(tmp_path, "oracle", "host_monitoring_agent", "prometheus-node-exporter.j2")
    assert "--web.listen-address=192.168.1.11:9100" in text
    (tmp_path / "out").unlink()
    text = render(tmp_path, "oracle", "host_monitoring_agent", "config.alloy.j2")
    assert 'endpoint = "monitoring.home.example.org:4317"' in text
    assert text.count("{") == text.count("}")


def test_secret_comes_from_the_host_s_sops_file(tmp_path: Path) -> None:
    path = os.pathsep.join([str(REPO / ".aether/engine/bin"), os.environ["PATH"]])
    missing = [name for name in ("sops", "age-keygen") if not shutil.which(name, path=path)]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed; `make setup` builds them")
    env = {**os.environ, "PATH": path}
    key = tmp_path / "key.txt"
    subprocess.run(["age-keygen", "-o", str(key)], env=env, check=True, capture_output=True)
    recipient = subprocess.run(["age-keygen", "-y", str(key)], env=env, check=True, capture_output=True, text=True).stdout.strip()
    folder = tmp_path / "secrets/hosts"
    folder.mkdir(parents=True)
    plain = tmp_path / "plain.yaml"
    plain.write_text("samba-password: from-the-file\n")
    command = ["sops", "--config", "/dev/null", "--encrypt", "--age", recipient, str(plain)]
    encrypted = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    (folder / "smith-files.yaml").write_text(encrypted)
    secrets = {"AETHER_SECRETS": str(tmp_path / "secrets"), "SOPS_AGE_KEY_FILE": str(key)}
    write = {
        "ansible.builtin.copy": {"content": "{{ lookup('aether_secret', 'samba-password') }}", "dest": "{{ out }}"},
        "no_log": True,
    }
    assert run(tmp_path, "smith-files", [write], env=secrets)[1] == "from-the-file"
    assert run(tmp_path, "smith-files", [write], env={**secrets, "AETHER_SECRET_SAMBA_PASSWORD": "first"})[1] == "first"
    # Another host's file is not looked into, and a key that is no recipient's says so.
    assert run(tmp_path, "smith-storage", [write], env=secrets)[1] == ""
    (tmp_path / "out").unlink()
    show: dict[str, object] = {"ansible.builtin.debug": {"msg": "{{ lookup('aether_secret', 'samba-password') }}"}}
    subprocess.run(["age-keygen", "-o", str(tmp_path / "other.txt")], env=env, check=True, capture_output=True)
    wrong, _ = run(tmp_path, "smith-files", [show], env={**secrets, "SOPS_AGE_KEY_FILE": str(tmp_path / "other.txt")})
    assert wrong.code != 0
    assert "is SOPS_AGE_KEY_FILE the key of one of its recipients?" in " ".join(wrong.output.split())


def test_a_required_secret_that_is_nowhere_says_what_to_write(tmp_path: Path) -> None:
    task: dict[str, object] = {"ansible.builtin.debug": {"msg": "{{ lookup('aether_secret', 'no-such-secret', required=true) }}"}}
    done, _ = run(tmp_path, "smith-files", [task], env={"AETHER_SECRETS": str(tmp_path)})
    assert done.code != 0
    text = " ".join(done.output.split())
    assert "set AETHER_SECRET_NO_SUCH_SECRET" in text
    assert "hosts/smith-files.yaml" in text

# mypy: ignore-errors
"""Packages that simulated distributions have: what each brings. A name that is not here does not exist.

Distributions start a Debian package's units at once; the others leave that to `systemctl`.
"""

from simlib import words


def package(units="", programs="", files=None):
    """UNITS: `NAME:PORT[/PROTOCOL]…` of services that the simulator has, or `NAME.timer`; FILES: path -> text."""
    made = {}
    for each in units.split():
        name, *ports = each.split(":")
        lines = "Simulate=yes\n" + "".join(f"Listen={port}\n" for port in ports)
        made[name if "." in name else f"{name}.service"] = "" if name.endswith(".timer") else lines
    return {"units": made, "programs": words(programs), "files": files or {}}


def plain(text):
    """Packages that are there, and bring nothing that anybody asks for."""
    return dict.fromkeys(words(text), package())


SAMBA = ("smbpasswd", {"/etc/samba/smb.conf": "[global]\n"})
WIREGUARD = package("wg-quick@", "wg wg-quick", {"/etc/wireguard/.keep": ""})
NIX = "nix nix-env nix-store"
NODE_EXPORTER = package("prometheus-node-exporter:9100/http")
# Of several distributions.
COMMON = {
    "syncthing": package("syncthing@:22000", "syncthing"),
    "rclone": package("", "rclone"),
    "podman": package("", "podman"),
    "flatpak": package("", "flatpak"),
    "wireguard-tools": WIREGUARD,
}
DEBIAN = {
    **COMMON,
    "prometheus-node-exporter": NODE_EXPORTER,
    "prometheus-node-exporter-collectors": package(
        "prometheus-node-exporter-smartmon prometheus-node-exporter-smartmon.timer "
        "prometheus-node-exporter-nvme prometheus-node-exporter-nvme.timer"
    ),
    "smartmontools": package("smartmontools", "", {"/etc/smartd.conf": "DEVICESCAN -d removable\n"}),
    "unattended-upgrades": package("unattended-upgrades"),
    "nfs-kernel-server": package("nfs-server:2049"),
    "samba": package("smbd:445 nmbd", *SAMBA),
    # It depends on nix-bin.
    "nix-setup-systemd": package("nix-daemon", NIX, {"/etc/nix/nix.conf": ""}),
    "nix-bin": package("", NIX),
    "fail2ban": package("fail2ban"),
    "alloy": package("alloy:12345/http", "", {"/etc/alloy/config.alloy": ""}),
    **plain(
        "git stow curl jq rsync xz-utils ca-certificates gnupg python3-venv python3-pip python3 sudo age chrony "
        "lm-sensors nvme-cli moreutils pve-manager ifupdown2 vim htop tmux acl cron logrotate openssh-server unzip zstd gpg "
        "prometheus-pve-exporter apt-transport-https debian-archive-keyring intel-microcode amd64-microcode"
    ),
}
# A package of a repository that has to be configured first: package -> text that the repository's entry holds.
DEBIAN_REPOSITORIES = {
    "alloy": "apt.grafana.com",
    "intel-microcode": "non-free-firmware",
    "amd64-microcode": "non-free-firmware",
}
ALPINE = {
    "nfs-utils": package("nfs:2049 rpcbind"),
    "samba": package("samba:445", *SAMBA),
    "samba-common-tools": package("", "smbpasswd"),
    "prometheus-node-exporter": package("node-exporter:9100/http"),
    "chrony": package("chronyd"),
    **plain("git curl python3 py3-pip sudo openssh rsync jq acl shadow tzdata ca-certificates samba-server"),
}
FEDORA = {
    **COMMON,
    "nvidia-container-toolkit": package("", "nvidia-ctk"),
    "dnf-automatic": package("dnf-automatic dnf-automatic.timer"),
    "caddy": package("caddy:80/http:443/https", "", {"/etc/caddy/Caddyfile": ":80\n"}),
    "tailscale": package("tailscaled", "tailscale"),
    "fail2ban": package("fail2ban", "fail2ban-client", {"/etc/fail2ban/fail2ban.conf": ""}),
    "node-exporter": NODE_EXPORTER,
    "golang-github-prometheus-node-exporter": NODE_EXPORTER,
    "nix": package("nix-daemon", NIX),
    **plain(
        "akmod-nvidia xorg-x11-drv-nvidia-cuda nvidia-vaapi-driver podman-compose slirp4netns git stow curl jq rsync acl "
        "rpmfusion-free-release rpmfusion-nonfree-release kernel-devel akmods toolbox distrobox python3 python3-libdnf5 "
        "python3-dnf cronie firewalld nftables chrony age gnupg2 tar xz fuse-overlayfs crun nix-daemon spal-release"
    ),
}
INSTALLED = {
    "debian": words("python3 openssh-server ca-certificates curl cron sudo gpg"),
    "alpine": words("python3 openssh ca-certificates tzdata"),
    "fedora": words("python3 python3-libdnf5 python3-dnf curl tar xz firewalld chrony toolbox"),
    # What of the own image the bootstrap asks for.
    "atomic": words("python3 curl tar xz firewalld chrony toolbox syncthing rclone"),
}

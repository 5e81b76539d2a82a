# mypy: ignore-errors
"""Packages that simulated distributions have: what each brings. A name that is not here does not exist.

`units`: unit -> its [X-Simulator] lines; `programs`: command -> fake in this directory (or "" for one that only says its
version); `files`: path -> text. Distributions start a Debian package's units at once; the others leave that to `systemctl`.
"""

from simlib import words

SIMULATED = "Simulate=yes\n"


def listens(*ports):
    """A unit that listens on TCP ports."""
    return SIMULATED + "".join(f"Listen={port}\n" for port in ports)


NODE_EXPORTER = {"units": {"prometheus-node-exporter.service": SIMULATED + "Listen=9100/http\n"}}
PLAIN = {}

NIX = {"nix": "nix.py", "nix-env": "nix_env.py", "nix-store": "nix_store.py"}

DEBIAN = {
    "prometheus-node-exporter": NODE_EXPORTER,
    "prometheus-node-exporter-collectors": {
        "units": {
            f"prometheus-node-exporter-{name}.{kind}": SIMULATED if kind == "service" else ""
            for name in ("smartmon", "nvme")
            for kind in ("service", "timer")
        }
    },
    "smartmontools": {
        "units": {"smartmontools.service": SIMULATED},
        "files": {"/etc/smartd.conf": "DEVICESCAN -d removable\n"},
    },
    "unattended-upgrades": {"units": {"unattended-upgrades.service": SIMULATED}},
    "nfs-kernel-server": {"units": {"nfs-server.service": listens(2049)}},
    "samba": {
        "units": {"smbd.service": listens(445), "nmbd.service": SIMULATED},
        "programs": {"smbpasswd": "smbpasswd.py"},
        "files": {"/etc/samba/smb.conf": "[global]\n"},
    },
    "syncthing": {"units": {"syncthing@.service": SIMULATED + "Listen=22000\n"}, "programs": {"syncthing": "syncthing.py"}},
    "rclone": {"programs": {"rclone": ""}},
    # It depends on nix-bin.
    "nix-setup-systemd": {
        "units": {"nix-daemon.service": SIMULATED},
        "programs": NIX,
        "files": {"/etc/nix/nix.conf": ""},
    },
    "nix-bin": {"programs": NIX},
    "podman": {"programs": {"podman": "podman.py"}},
    "fail2ban": {"units": {"fail2ban.service": SIMULATED}},
    "wireguard-tools": {"units": {"wg-quick@.service": SIMULATED}, "programs": {"wg": "wg.py", "wg-quick": ""}},
    "flatpak": {"programs": {"flatpak": "flatpak.py"}},
    **dict.fromkeys(
        words(
            "git stow curl jq rsync xz-utils ca-certificates gnupg python3-venv python3-pip python3 sudo age chrony "
            "lm-sensors nvme-cli moreutils pve-manager ifupdown2 vim htop tmux acl cron logrotate openssh-server unzip zstd gpg "
            "prometheus-pve-exporter apt-transport-https debian-archive-keyring intel-microcode amd64-microcode"
        ),
        PLAIN,
    ),
}
# A package of a repository that has to be configured first: package -> text that the repository's entry holds.
DEBIAN_REPOSITORIES = {
    "alloy": "apt.grafana.com",
    "intel-microcode": "non-free-firmware",
    "amd64-microcode": "non-free-firmware",
}
DEBIAN["alloy"] = {
    "units": {"alloy.service": SIMULATED + "Listen=12345/http\n"},
    "files": {"/etc/alloy/config.alloy": ""},
}

ALPINE = {
    "nfs-utils": {"units": {"nfs.service": listens(2049), "rpcbind.service": SIMULATED}},
    "samba": {
        "units": {"samba.service": listens(445)},
        "programs": {"smbpasswd": "smbpasswd.py"},
        "files": {"/etc/samba/smb.conf": "[global]\n"},
    },
    "samba-common-tools": {"programs": {"smbpasswd": "smbpasswd.py"}},
    "prometheus-node-exporter": {"units": {"node-exporter.service": SIMULATED + "Listen=9100/http\n"}},
    "chrony": {"units": {"chronyd.service": SIMULATED}},
    **dict.fromkeys(
        words("git curl python3 py3-pip sudo openssh rsync jq acl shadow tzdata ca-certificates samba-server"), PLAIN
    ),
}

FEDORA = {
    "nvidia-container-toolkit": {"programs": {"nvidia-ctk": "nvidia_ctk.py"}},
    "podman": {"programs": {"podman": "podman.py"}},
    "dnf-automatic": {"units": {"dnf-automatic.timer": "", "dnf-automatic.service": SIMULATED}},
    "dnf5-plugin-automatic": {"units": {"dnf5-automatic.timer": "", "dnf5-automatic.service": SIMULATED}},
    "caddy": {
        "units": {"caddy.service": SIMULATED + "Listen=80/http\nListen=443/https\n"},
        "files": {"/etc/caddy/Caddyfile": ":80\n"},
    },
    "wireguard-tools": {
        "units": {"wg-quick@.service": SIMULATED},
        "programs": {"wg": "wg.py", "wg-quick": ""},
        "files": {"/etc/wireguard/.keep": ""},
    },
    "tailscale": {"units": {"tailscaled.service": SIMULATED}, "programs": {"tailscale": "tailscale.py"}},
    "fail2ban": {
        "units": {"fail2ban.service": SIMULATED},
        "programs": {"fail2ban-client": ""},
        "files": {"/etc/fail2ban/fail2ban.conf": ""},
    },
    "node-exporter": NODE_EXPORTER,
    "golang-github-prometheus-node-exporter": NODE_EXPORTER,
    "syncthing": {"units": {"syncthing@.service": SIMULATED + "Listen=22000\n"}, "programs": {"syncthing": "syncthing.py"}},
    "rclone": {"programs": {"rclone": ""}},
    "nix": {
        "units": {"nix-daemon.service": SIMULATED},
        "programs": NIX,
    },
    "flatpak": {"programs": {"flatpak": "flatpak.py"}},
    **dict.fromkeys(
        words(
            "akmod-nvidia xorg-x11-drv-nvidia-cuda nvidia-vaapi-driver podman-compose slirp4netns git stow curl jq "
            "rsync acl rpmfusion-free-release rpmfusion-nonfree-release kernel-devel akmods toolbox distrobox python3 "
            "python3-libdnf5 python3-dnf cronie firewalld nftables chrony age gnupg2 tar xz fuse-overlayfs crun "
            "nix-daemon spal-release"
        ),
        PLAIN,
    ),
}
INSTALLED = {
    "debian": ["python3", "openssh-server", "ca-certificates", "curl", "cron", "sudo", "gpg"],
    "alpine": ["python3", "openssh", "ca-certificates", "tzdata"],
    "fedora": ["python3", "python3-libdnf5", "python3-dnf", "curl", "tar", "xz", "firewalld", "chrony", "toolbox"],
    # What of the own image the bootstrap asks for.
    "atomic": ["python3", "curl", "tar", "xz", "firewalld", "chrony", "toolbox", "syncthing", "rclone"],
}

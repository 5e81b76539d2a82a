"""A small inventory without an error, to put errors in."""

from inventory import agekey

KEYS = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBZtKMykG7fawfk0K3z8IgsZ0Y3VhiLbt0QHJBsO+/yG",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFjD2h9kxfnNXYP0+d90ZVTg0H5k5gq6r/q5ea7IBJak",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIP17xQbnjvmTnaiubIkovQp7w+4RMVYB2eYsfVj5PYs",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGis+2qRoC53tqezh5U4mQaDUTCcIv0u008S6m983Ke/",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILCZeit59H82iN7GIlIfdJANtExT66ntgMwPJk3MljZ7",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINjoDjd9rLI0o8JWGuC/jwiAjewZ6Qif51J9ckzJpViB",
]
AGES = [agekey.recipient(key) for key in KEYS]

SITE = f"""\
[site]
name = "lab"
domain = "lab.example.org"
public_domain = "example.org"
timezone = "Europe/Berlin"
user = "ada"
authorized_keys = ["{KEYS[0]}"]
age_recipients = ["{AGES[0]}"]
"""
GOOD = f"""\
{SITE}
[networks.servers]
cidr = "192.168.10.0/24"
gateway = "192.168.10.1"
nameservers = ["192.168.10.20", "9.9.9.9"]

[networks.clients]
cidr = "192.168.20.0/24"
gateway = "192.168.20.1"
vlan = 20

[nodes.metal]
address = "192.168.10.5"
cpu = 4
memory = 16384
host_key = "{KEYS[1]}"
usb = [{{ name = "zwave", id = "0658:0200" }}]

[hosts.web]
kind = "nixos-vm"
node = "metal"
vmid = 110
address = "192.168.10.10"
cpu = 2
memory = 2048
disks = [{{ size = 32 }}, {{ size = 10, mount = "/srv" }}]
depends_on = ["dns"]
tags = ["ingress"]
host_key = "{KEYS[2]}"
age_recipient = "{AGES[2]}"
usb = ["zwave"]
start_order = 2
health = [{{ unit = "caddy.service" }}, {{ http = "http://{{address}}:8080/", status = 204 }}]

[hosts.dns]
kind = "nixos-lxc"
node = "metal"
vmid = 111
address = "192.168.10.20"
cpu = 1
memory = 512
disks = [{{ size = 8 }}]
host_key = "{KEYS[3]}"
start_order = 1
health = [{{ tcp = 53 }}]

[hosts.desk]
kind = "atomic"
network = "clients"
address = "192.168.20.10"
image = "ghcr.io/example/desk"
host_key = "{KEYS[4]}"
home = {{ configuration = "ada@desk" }}

[hosts.talos]
kind = "external"
address = "192.168.10.30"
health = [{{ tcp = 6443 }}]

[services.files]
host = "web"
port = 8080

[services.wiki]
host = "web"
port = 8081

[rollout]
strategy = "canary"
canary = "dns"
"""

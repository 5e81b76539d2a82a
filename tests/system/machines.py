"""Machines that stay on Ansible beside the small fleet, by a role of one task."""

import re

ROLE = "ansible/roles/welcome/tasks/main.yml"
WELCOME = """\
- name: Welcome
  ansible.builtin.copy:
    content: "{{ inventory_hostname }} of {{ aether_site.name }}\\n"
    dest: /etc/motd
    mode: "0644"
"""
PLAY = "- name: Machines\n  hosts: all\n  gather_facts: false\n  roles: [welcome]\n"
MACHINE = """\
[hosts.{name}]
kind = "ansible"
description = "{name}"
address = "192.168.10.{last}"
os = "debian"
playbook = "machine.yml"
host_key = "{key}"
"""


def ran(text: str) -> set[str]:
    """Hosts on which a playbook ran."""
    return set(re.findall(r"^ +(\S+): runs \S+\.yml", text, re.MULTILINE))

"""root's way to a user: `su`, which asks root for no password."""

import shlex

from ansible.plugins.become import BecomeBase

DOCUMENTATION = """
name: aether_su
short_description: su, for who is root already
description:
  - No password is asked for, so no terminal is needed, and a module goes to the host over standard input.
  - C(ansible.builtin.su) copies each one into a file that the user may read, which takes five more commands a task.
options:
  become_user:
    description: User who runs the task.
    type: str
    default: root
    vars: [{name: ansible_become_user}]
    keyword: [{name: become_user}]
"""


class BecomeModule(BecomeBase):  # type: ignore[misc]
    """`su -s /bin/sh USER -c COMMAND`, whatever shell the user has."""

    name = "aether_su"

    def build_become_command(self, cmd: str, shell: object) -> str:
        """The command that runs CMD as the user."""
        super().build_become_command(cmd, shell)
        if not cmd:
            return cmd
        user, command = self.get_option("become_user"), self._build_success_command(cmd, shell)
        return f"su -s /bin/sh {shlex.quote(user)} -c {shlex.quote(command)}"

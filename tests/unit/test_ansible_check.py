"""What a check of playbooks keeps of Ansible's output."""

from stacks.ansible_check import differences

SAME = """
PLAY [Smith] *****
TASK [smith : Install] *****
ok: [smith-files]
PLAY RECAP *****
smith-files : ok=9 changed=0 unreachable=0 failed=0 skipped=1
"""
CHANGED = """
TASK [smith : Install] *****
ok: [smith-files]

TASK [smith : Configure Samba] *****
--- before: /etc/samba/smb.conf
+++ after: /etc/samba/smb.conf
+  workgroup = HOME
changed: [smith-files]

PLAY RECAP *****
smith-files : ok=9 changed=1 unreachable=0 failed=0 skipped=1
"""


def test_nothing_to_change_is_nothing() -> None:
    assert differences(SAME) == ""


def test_the_difference_is_kept_and_the_rest_is_not() -> None:
    text = differences(CHANGED)
    assert "+  workgroup = HOME" in text
    assert "Configure Samba" in text
    assert "Install" not in text


def test_a_host_that_cannot_be_asked_is_not_taken_for_unchanged() -> None:
    assert "does not answer" in differences("failed=1\nsmith-files: FAILED: smith-files does not answer on SSH")

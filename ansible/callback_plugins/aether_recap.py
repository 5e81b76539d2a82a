"""A run's recap as data: what the last lines of Ansible's output say, as JSON, for programs."""

import json
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: aether_recap
type: notification
short_description: writes the recap to a file, as JSON
description:
  - By host, the counts that the recap prints, in its order and with its words.
options:
  file:
    description: The file that is written at the end of a run.
    type: path
    required: true
    env: [{name: AETHER_RECAP}]
"""

# Ansible counts failures, and its recap calls them failed.
COUNTS = {name: name for name in ("ok", "changed", "unreachable", "failed", "skipped", "rescued", "ignored")} | {
    "failed": "failures"
}


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Writes when the run is over."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "aether_recap"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_stats(self, stats: Any) -> None:
        recap = {}
        for host in sorted(stats.processed):
            said = stats.summarize(host)
            recap[host] = {name: said[counted] for name, counted in COUNTS.items()}
        Path(self.get_option("file")).write_text(json.dumps(recap))

#!/usr/bin/env python3
# mypy: ignore-errors
"""tailscale of a simulated host: `up`, `down`, `status [--json]`, `ip`, `version`, `set` (tailscale CLI 1.84).

No network is joined; state is kept. Refuses without root, without the daemon's unit active, and a key that is not one.
"""

import json
import subprocess

from simlib import Refused, load, need_root, run, save


def main(argv):
    if argv[:1] == ["version"] or "--version" in argv:
        print("1.84.0")
        return 0
    if subprocess.run(["systemctl", "is-active", "--quiet", "tailscaled.service"]).returncode:
        raise Refused(
            "failed to connect to local tailscaled; it doesn't appear to be running (sudo systemctl start tailscaled ?)"
        )
    state = load("tailscale", {"up": False, "options": []})
    verb = argv[0] if argv else ""
    if verb == "status":
        if "--json" in argv:
            print(json.dumps({"BackendState": "Running" if state["up"] else "NeedsLogin", "Self": {"Online": state["up"]}}))
            return 0
        print("100.64.0.1  this-host  linux  -" if state["up"] else "Logged out.")
        return 0 if state["up"] else 1
    need_root("Access denied: prefs write access denied")
    if verb == "up":
        key = next((word.partition("=")[2] for word in argv if word.startswith(("--auth-key=", "--authkey="))), "")
        if not state["up"] and not key:
            raise Refused("To authenticate, visit: https://login.tailscale.com/ (no key was given)")
        if key and not key.startswith(("tskey-", "file:")):
            raise Refused("backend error: invalid key: unable to validate API key")
        save("tailscale", {"up": True, "options": [word for word in argv[1:] if "key" not in word]})
        return 0
    if verb == "down":
        save("tailscale", dict(state, up=False))
        return 0
    if verb in ("set", "ip"):
        return 0
    raise Refused(f"tailscale {verb}: not simulated")


if __name__ == "__main__":
    run(main)

"""A machine of the lab to play with: `make lab`. It goes when this ends, and nothing of it stays."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.lab import disk
from tests.lab.machine import Machine, ready


def main() -> int:
    parser = argparse.ArgumentParser(prog="make lab", description=__doc__)
    parser.add_argument("--data", type=int, action="append", default=[], metavar="GIB", help="a blank data disk; may be repeated")
    options = parser.parse_args()
    if reason := disk.missing():
        print(reason, file=sys.stderr)
        return 1
    print("The machine is made (minutes the first time) …", flush=True)
    with tempfile.TemporaryDirectory(prefix="aether-lab-") as folder:
        machine = Machine(ready(), Path(folder) / "machine", "lab", data=options.data)
        try:
            machine.on()
            print(f"ssh -F {machine.work / 'ssh_config'} lab      Ctrl-C ends it", flush=True)
            machine.wait()
        except KeyboardInterrupt:
            pass
        finally:
            machine.cut()
    return 0


if __name__ == "__main__":
    sys.exit(main())

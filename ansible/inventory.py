#!/usr/bin/env python3
"""Ansible's dynamic inventory: `./aether inventory ansible` with the arguments that Ansible gives.

Kept apart from the package of the same name: as a script, this folder would come before it on the module path.
"""

import os
import sys
from pathlib import Path

os.chdir(Path(__file__).resolve().parent.parent)
os.execv(sys.executable, [sys.executable, "-m", "inventory", "ansible", *sys.argv[1:]])

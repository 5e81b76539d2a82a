"""``python -m inventory``."""

import sys

from inventory.environment import enter

enter("inventory")

from inventory.cli import main  # noqa: E402

sys.exit(main())

"""The Pulumi program: reads the stack's settings and runs the composition they name."""

import gc

# Hundreds of modules and models that live to the end: looking for garbage among them would take a tenth of a preview.
gc.set_threshold(100_000, 50, 50)

from stacks import sdk  # noqa: E402
from stacks.program import run  # noqa: E402

sdk.quiet_debug()
sdk.shorten_traces()
sdk.outlive_failures()
run()

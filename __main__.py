"""The Pulumi program: reads the stack's settings and runs the composition they name."""

import gc
import os

import pulumi

# Hundreds of modules and models that live to the end: looking for garbage among them would take a tenth of a preview.
gc.set_threshold(100_000, 50, 50)
# The SDK sends the engine five debug lines a resource and waits for each answer, asked for or not: a seventh of a preview.
if not os.environ.get("AETHER_DEBUG"):
    pulumi.log.debug = lambda *_, **__: None

from stacks import run  # noqa: E402

run()

"""The Pulumi program: reads the stack's settings and runs the composition they name."""

from stacks import run

run()

"""Unit tests run without an engine, a network or the simulator."""

import gc

# The SDKs are a large heap that lives to the end: looking for garbage in it takes nearly half of these tests' time.
gc.set_threshold(200_000, 50, 100)

# A personal machine comes and goes: it ships neither logs nor metrics.
_: { watched = false; }

# Monitoring is at home; nothing of it is reachable from the internet.
_: { watched = false; }

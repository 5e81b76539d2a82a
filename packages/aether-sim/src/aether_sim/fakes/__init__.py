"""Commands of a simulated host that stand in for tools which cannot run there.

`host/` are programs that run inside the host; `served/` answer through the host's agent socket, because what they
change (units, timers, power, the Proxmox API) lives in the supervisor. Each lists at its top what it imitates.
"""

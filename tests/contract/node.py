"""What is asked of a Proxmox node's `qm` and `pct`, and of the guest agent behind them, and what they answer.

The answers are from Proxmox' sources, for Proxmox VE cannot be had here: qemu-server 9 (src/PVE/CLI/qm.pm, QemuServer/Agent.pm,
API2/Qemu.pm), pve-container 6 (src/PVE/CLI/pct.pm, LXC.pm) and lxc (src/lxc/attach.c). Cases run in their order, as root on a
node: ``$vm`` runs and has a guest agent, ``$ct`` runs, ``$off`` is a container and ``$voff`` a virtual machine that do not.
"""

from tests.contract.cases import Case

_QM = "qemu-server: src/PVE/CLI/qm.pm"
_AGENT = "qemu-server: src/PVE/QemuServer/Agent.pm"
_PCT = "pve-container: src/PVE/CLI/pct.pm"
_ATTACH = "lxc: src/lxc/attach.c, lxc_attach_run_command"
_BIN = "/run/current-system/sw/bin"


def _qm(promise: str, ask: str, code: int | None, says: str = "", source: str = _QM) -> Case:
    return Case("qm", promise, ask, code, says, source)


def _exec(promise: str, ask: str, code: int | None, says: str = "", source: str = _AGENT) -> Case:
    return Case("qm guest", promise, ask, code, says, source)


def _pct(promise: str, ask: str, code: int | None, says: str = "", source: str = _PCT) -> Case:
    return Case("pct", promise, ask, code, says, source)


NODE_CASES = (
    _qm("a machine that runs", "qm status $vm", 0, r"\Astatus: running\Z"),
    _qm("a machine that does not", "qm status $voff", 0, r"\Astatus: stopped\Z"),
    _qm(
        "one that is not on this node", "qm status 9999", 2, "^Configuration file 'nodes/.+/qemu-server/9999.conf' does not exist"
    ),
    _qm("a container is none", "qm status $ct", 2, "does not exist"),
    _qm("its configuration, a key a line, in the keys' order", "qm config $vm | cut -d: -f1 | LC_ALL=C sort -c", 0, r"\A\Z"),
    _qm(
        "a setting is said, and holds",
        "qm set $vm --tags contract && qm config $vm",
        0,
        r"(?s)^update VM \d+: -tags contract$.*^tags: contract$",
        "qemu-server: src/PVE/API2/Qemu.pm",
    ),
    _qm("what is deleted is gone", "qm set $vm --delete tags >/dev/null && ! qm config $vm | grep '^tags:'", 0, r"\A\Z"),
    _exec("an agent that answers says nothing", "qm guest cmd $vm ping", 0, r"\A\Z"),
    _exec("a machine that does not run", "qm guest cmd $voff ping", None, r"VM \d+ is not running"),
    _exec("an unknown command of the agent", "qm guest cmd $vm nonsense", None, "value 'nonsense' does not have a value"),
    _exec(
        "interfaces and addresses, in Perl's JSON",
        "qm guest cmd $vm network-get-interfaces",
        0,
        r'(?s)"ip-address" : "127\.0\.0\.1".*"name" : "lo"',
    ),
    _exec(
        "a command's exit code is in its answer, and not qm's",
        f"qm guest exec $vm -- {_BIN}/sh -c 'echo out; echo err >&2; exit 3'",
        0,
        r'(?s)"err-data" : "err\\n".*"exitcode" : 3,\s+"exited" : 1,\s+"out-data" : "out\\n"',
    ),
    _exec(
        "a command that says nothing has no data", f"qm guest exec $vm -- {_BIN}/true", 0, r'(?s)\A(?!.*out-data).*"exitcode" : 0'
    ),
    _exec(
        "a command that is killed has no exit code",
        f"qm guest exec $vm -- {_BIN}/sh -c 'kill -9 $$'",
        0,
        r'(?s)\A(?!.*exitcode).*"exited" : 1.*"signal" : 9',
    ),
    _exec(
        "a program that is not there", "qm guest exec $vm -- /nonsense", None, "(?s)Failed to execute child process.*/nonsense"
    ),
    _exec(
        "standard input goes through on request",
        f"echo in | qm guest exec $vm --pass-stdin 1 -- {_BIN}/cat",
        0,
        r'"out-data" : "in\\n"',
    ),
    _exec("and else it does not", f"echo in | qm guest exec $vm -- {_BIN}/cat", 0, r"(?s)\A(?!.*out-data).*exitcode"),
    _exec(
        "one MiB of it at most",
        f"head -c 1100000 /dev/zero | qm guest exec $vm --pass-stdin 1 -- {_BIN}/cat",
        None,
        "'input-data' \\(STDIN\\) is limited to 1 MiB, aborting",
        _QM,
    ),
    _exec(
        "what takes longer is left, with its pid",
        f"qm guest exec $vm --timeout 1 -- {_BIN}/sleep 3",
        0,
        r'(?s)timeout reached, returning pid.*"pid" : \d+|"pid" : \d+.*timeout reached, returning pid',
        _QM,
    ),
    _exec("it is root's", f"qm guest exec $vm -- {_BIN}/id -u", 0, r'"out-data" : "0\\n"'),
    _pct("a container that runs", "pct status $ct", 0, r"\Astatus: running\Z"),
    _pct("a container that does not", "pct status $off", 0, r"\Astatus: stopped\Z"),
    _pct("one that is not on this node", "pct status 9999", 2, "^Configuration file 'nodes/.+/lxc/9999.conf' does not exist"),
    _pct("its configuration, a key a line, in the keys' order", "pct config $ct | cut -d: -f1 | LC_ALL=C sort -c", 0, r"\A\Z"),
    _pct("a command's exit code is pct's", f"pct exec $ct -- {_BIN}/sh -c 'exit 5'", 5),
    _pct(
        "standard input, output and errors go through",
        f"echo in | pct exec $ct -- {_BIN}/sh -c 'cat; cat /nonsense'",
        1,
        "(?s)in.*nonsense",
    ),
    _pct("a program that is not there", "pct exec $ct -- /nonsense", 127, "nonsense", _ATTACH),
    _pct("the node's environment goes along", f"CONTRACT=kept pct exec $ct -- {_BIN}/sh -c 'echo $CONTRACT'", 0, r"\Akept\Z"),
    _pct(
        "the node's PATH too, which knows nothing of NixOS",
        f'[ "$(pct exec $ct -- {_BIN}/sh -c \'echo $PATH\')" = "$PATH" ]',
        0,
    ),
    _pct("nothing is run in one that is stopped", "pct exec $off -- true", None, "container '\\d+' not running!"),
    _pct(
        "a file is pushed with owner and rights",
        "echo content >/tmp/contract; pct push $ct /tmp/contract /root/contract --perms 0600 --user 0 --group 0 && "
        f"pct exec $ct -- {_BIN}/sh -c 'stat -c \"%a %u %g\" /root/contract; cat /root/contract'",
        0,
        r"\A600 0 0\ncontent\Z",
    ),
    _pct(
        "without rights it is everybody's to read",
        f"umask 022; pct push $ct /tmp/contract /root/plain && pct exec $ct -- {_BIN}/stat -c %a /root/plain",
        0,
        r"\A644\Z",
    ),
    _pct(
        "a folder that is not there", "pct push $ct /tmp/contract /nonsense/file", None, "failed to create file: /nonsense/file"
    ),
    _pct("a file that is not there", "pct push $ct /tmp/nonsense /root/file", None, "failed to open /tmp/nonsense for reading"),
    _pct(
        "an owner whom the container does not know",
        "pct push $ct /tmp/contract /root/x --user nonsense",
        None,
        "failed to get uid for: nonsense",
    ),
    _pct(
        "nothing is pushed into one that is stopped",
        "pct push $off /tmp/contract /root/x",
        None,
        "can only push files to a running CT",
    ),
    _pct(
        "a link in the container does not lead out of it",
        f"pct exec $ct -- {_BIN}/ln -sfn /etc/contract-out /root/link && pct push $ct /tmp/contract /root/link && "
        "! ls /etc/contract-out",
        0,
        "(?i)no such file",
    ),
    _pct("a file is pulled", "pct pull $ct /root/contract /tmp/pulled && cat /tmp/pulled", 0, r"\Acontent\Z"),
    _pct("memory is plugged in", "pct set $ct --memory 768 && pct config $ct --current 1", 0, "^memory: 768$"),
    _pct(
        "features wait for the next start",
        "pct set $ct --features nesting=1,fuse=1 && pct pending $ct && ! pct config $ct --current 1 | grep '^features: .*fuse'",
        0,
        "^new features: (nesting=1,fuse=1|fuse=1,nesting=1)$",
    ),
    _pct("and are its configuration already", "pct config $ct", 0, "^features: (nesting=1,fuse=1|fuse=1,nesting=1)$"),
    _pct("what runs is not started", "pct start $ct", None, r"CT \d+ already running"),
    _pct("what is stopped is not stopped", "pct stop $off", None, r"CT \d+ not running"),
    _pct(
        "a reboot boots it, with what waited",
        f"pct exec $ct -- {_BIN}/touch /run/contract-boot && pct reboot $ct && pct status $ct && "
        f"until pct exec $ct -- {_BIN}/true 2>/dev/null; do sleep 0.2; done; "
        f"! pct exec $ct -- {_BIN}/test -e /run/contract-boot && pct config $ct --current 1",
        0,
        r"(?s)\Astatus: running$.*^features: (nesting=1,fuse=1|fuse=1,nesting=1)$",
    ),
    _pct("it stops", "pct stop $ct && pct status $ct", 0, r"^status: stopped$"),
    _pct("and starts", "pct start $ct && pct status $ct", 0, r"^status: running$"),
)

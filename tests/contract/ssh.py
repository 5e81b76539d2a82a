"""What operators ask of a NixOS host's SSH server, and what OpenSSH answers (its options: nix/modules/security.nix).

Asked where the operator is: ``$config`` is the client's configuration for ``$host``, with pinned keys; ``$work`` is a folder with
the key pairs s1 to s5, which the host does not know.
"""

import subprocess
from pathlib import Path

from tests.contract.cases import Answer, Case, answers

# The configuration with other identities: all that follow.
_AS = "as() { sed '/^ *IdentityFile/d' $config >$work/as; for key; do echo \"IdentityFile $work/$key\" >>$work/as; done; }; "


def _case(promise: str, ask: str, code: int | None, says: str = "") -> Case:
    return Case("sshd", promise, ask, code, says)


SSH_CASES = (
    _case("a command's exit code goes through", "ssh -F $config $host 'exit 7'", 7, r"\A\Z"),
    _case("one that is killed is 255", "ssh -F $config $host 'kill -9 $$'", 255),
    _case("both streams come apart", "ssh -F $config $host 'echo out; echo err >&2' 2>/dev/null", 0, r"\Aout\Z"),
    _case(
        "bytes go through, both ways",
        "head -c 300000 /dev/urandom >$work/bytes; ssh -F $config $host cat <$work/bytes | cmp - $work/bytes",
        0,
        r"\A\Z",
    ),
    _case("there is no terminal", "ssh -F $config $host 'test -t 0'", 1),
    _case("it is root", "ssh -F $config $host 'id -u; echo $HOME'", 0, r"\A0\n/root\Z"),
    _case(
        "another host key than the pinned one ends it",
        "echo \"$host $(cut -d' ' -f1,2 $work/s1.pub)\" >$work/known; "
        "ssh -F $config -o UserKnownHostsFile=$work/known $host true",
        255,
        "Host key verification failed",
    ),
    _case(
        "a host that is not pinned ends it",
        "ssh -F $config -o UserKnownHostsFile=/dev/null $host true",
        255,
        "verification failed",
    ),
    _case("a key that it does not know", f"{_AS} as s1; ssh -F $work/as $host true", 255, r"Permission denied \(publickey"),
    _case("a user who is not there", "ssh -F $config -l nonsense $host true", 255, r"Permission denied \(publickey"),
    _case("a password is not asked for", "ssh -F $config -o PubkeyAuthentication=no $host true", 255, "Permission denied"),
    _case(
        "three keys, and no more", f"{_AS} as s1 s2 s3 s4 s5; ssh -F $work/as $host true", 255, "Too many authentication failures"
    ),
    _case(
        "a connection is shared",
        "ssh -F $config -o ControlMaster=yes -o ControlPath=$work/socket -o ControlPersist=60 -fN $host "
        "</dev/null >/dev/null 2>&1 && "
        "ssh -F $config -o ControlPath=$work/socket -o ProxyCommand=false $host 'exit 3'; code=$?; "
        "ssh -F $config -o ControlPath=$work/socket -O exit $host; exit $code",
        3,
    ),
    _case(
        "a file goes there by sftp, and back",
        "printf 'put %s /root/contract\\nchmod 600 /root/contract\\nget /root/contract %s\\n' $work/bytes $work/back | "
        "sftp -q -F $config -b - $host >/dev/null && cmp $work/bytes $work/back && "
        "ssh -F $config $host 'stat -c %a /root/contract'",
        0,
        r"\A600\Z",
    ),
    _case(
        "a file that sftp does not find",
        "echo 'get /root/nonsense' | sftp -q -F $config -b - $host",
        1,
        'File "/root/nonsense" not found',
    ),
)


def ssh_answers(config: Path, host: str, work: Path) -> dict[Case, Answer]:
    """What HOST, which CONFIG leads to, answers; WORK is a folder for keys and files."""
    for number in range(1, 6):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(work / f"s{number}")], check=True)
    return answers(_here, SSH_CASES, {"config": str(config), "host": host, "work": str(work)})


def _here(command: str, stdin: str) -> str:
    return subprocess.run(["bash", "-c", command], input=stdin, capture_output=True, text=True, check=True).stdout

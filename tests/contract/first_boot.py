"""What cloud-init makes of user data at a machine's first boot: the same of the simulator's and of the real one.

Asked as root on the machine, afterwards: ``$key`` is the SSH host key that the user data brings, ``$owner`` the login key (the
second word of each public half).
"""

from tests.contract.cases import Case

_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


def _case(promise: str, ask: str, code: int | None, says: str = "") -> Case:
    return Case("cloud-init", promise, ask, code, says)


FIRST_BOOT_CASES = (
    _case("its host key is the user data's", f"cut -d' ' -f2 {_HOST_KEY}.pub | grep -xF $key >/dev/null", 0),
    _case("whose private half is root's alone", f"stat -c '%a %U' {_HOST_KEY}", 0, r"\A600 root\Z"),
    _case("and belongs to the public one", f"ssh-keygen -y -f {_HOST_KEY} | cut -d' ' -f2 | grep -xF $key >/dev/null", 0),
    _case("the login key lets root in", "grep -F $owner /root/.ssh/authorized_keys", 0, "^ssh-ed25519 "),
    _case("and is nobody else's to read", "stat -c %a /root/.ssh/authorized_keys", 0, r"\A600\Z"),
    _case("it is called as the user data says", "hostname; cat /etc/hostname", 0, r"\Aborn\nborn\Z"),
    _case("a file is there with its rights", "stat -c '%a %U' /etc/contract; cat /etc/contract", 0, r"\A640 root\nhello\Z"),
    _case("one that came in base64 is as it was", "cat /etc/contract-coded", 0, r"\Acoded\Z"),
    _case("a command was run, by a shell or by its words", "ls /root/ran-shell /root/ran-words", 0),
)


def user_data(private_key: str, owner: str) -> str:
    """The document, with an SSH host key and a login key."""
    indented = "".join(f"    {line}\n" for line in private_key.splitlines())
    return f"""#cloud-config
hostname: born
user: root
disable_root: false
ssh_authorized_keys:
- {owner}
ssh_keys:
  ed25519_private: |
{indented}write_files:
- path: /etc/contract
  content: |
    hello
  permissions: '0640'
- path: /etc/contract-coded
  encoding: b64
  content: Y29kZWQK
runcmd:
- touch /root/ran-shell
- [touch, /root/ran-words]
"""

"""A certificate authority of the new owner's own: root, step-ca's intermediate, OpenBao's; by openssl.

The root's key is in no file of the repository: it goes beside the owner's age key, to be kept offline.
"""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT_KEY = "root"
_YEARS = 365
_KEY_USAGE = "keyUsage = critical, keyCertSign, cRLSign"


@dataclass(frozen=True)
class Authority:
    """An intermediate: its certificate under nix/pki/, where its key goes (HOST/KEY), and its name."""

    certificate: str
    secret: str
    name: str
    constrained: bool = False
    """May sign for the site's domain and cluster.local alone."""


AUTHORITIES = (
    Authority("intermediate_ca.crt", "step-ca/intermediate-key", "Intermediate CA"),
    Authority("openbao_ca.crt", "openbao/pki-ca-key", "OpenBao CA", constrained=True),
)


def renew(folder: Path, site: str, domain: str) -> Mapping[str, str]:
    """Write new certificates into FOLDER (``nix/pki``); the private keys, PEM, by HOST/KEY and ROOT_KEY.

    Only certificates that FOLDER holds are renewed; with no root certificate in it, there is nothing to do.

    Raises:
        RuntimeError: openssl is missing or fails.
    """
    root = folder / "root_ca.crt"
    if not root.exists():
        return {}
    keys = {ROOT_KEY: new_key()}
    with tempfile.TemporaryDirectory(prefix="aether-pki-") as scratch:
        signer, request, extensions = (Path(scratch, name) for name in ("root.key", "request", "extensions"))
        signer.write_text(keys[ROOT_KEY])
        extensions.write_text(f"basicConstraints = critical, CA:TRUE, pathlen:1\n{_KEY_USAGE}\n")
        _request(signer, request, f"/O=Aether {site}/CN=Aether Root CA")
        _sign(request, extensions, root, 20 * _YEARS, "-signkey", str(signer))
        for authority in AUTHORITIES:
            if not (folder / authority.certificate).exists():
                continue
            keys[authority.secret] = new_key()
            own = Path(scratch, "own.key")
            own.write_text(keys[authority.secret])
            names = f"nameConstraints = critical, permitted;DNS:{domain}, permitted;DNS:cluster.local\n"
            extensions.write_text(
                f"basicConstraints = critical, CA:TRUE, pathlen:0\n{_KEY_USAGE}\n{names if authority.constrained else ''}"
            )
            _request(own, request, f"/O=Aether {site}/CN=Aether {authority.name}")
            signed_by = ("-CA", str(root), "-CAkey", str(signer))
            _sign(request, extensions, folder / authority.certificate, 10 * _YEARS, *signed_by)
    return keys


def new_key() -> str:
    """A P-256 private key, PEM (SEC 1).

    Raises:
        RuntimeError: openssl is missing or fails.
    """
    return _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout")


def self_signed(key: Path, subject: str, days: int, extensions: Sequence[str]) -> str:
    """A certificate, PEM, that the private key in the file KEY signs for itself.

    Raises:
        RuntimeError: openssl is missing or fails.
    """
    added = [word for extension in extensions for word in ("-addext", extension)]
    return _openssl("req", "-x509", "-new", "-key", str(key), "-subj", subject, "-days", str(days), "-sha256", *added)


def _request(key: Path, request: Path, subject: str) -> None:
    _openssl("req", "-new", "-key", str(key), "-subj", subject, "-out", str(request))


def _sign(request: Path, extensions: Path, certificate: Path, days: int, *signer: str) -> None:
    out = ("-days", str(days), "-sha256", "-extfile", str(extensions), "-out", str(certificate))
    _openssl("x509", "-req", "-in", str(request), *signer, *out)


def _openssl(*arguments: str) -> str:
    try:
        run = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=True)
    except OSError as error:
        raise RuntimeError(f"openssl: {error.strerror}. Fix: install openssl") from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"openssl {arguments[0]} failed: {error.stderr.strip()[-300:]}") from None
    return run.stdout

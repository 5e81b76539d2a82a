"""What a registry has under a tag: which digest, and whether the owner signed it."""

import shutil
import subprocess
from pathlib import Path

from pydantic import BaseModel, ConfigDict

# Error codes of the distribution specification. Without a login GHCR says DENIED of what is private and of what is not there.
_DENIED = ("DENIED", "UNAUTHORIZED", "401 Unauthorized", "403 Forbidden")
_ABSENT = ("MANIFEST_UNKNOWN", "NAME_UNKNOWN", "404 Not Found")


class RegistryError(Exception):
    """The run has to end: a tool is missing, or an image is not signed by the owner's key."""


class Unreadable(Exception):
    """A registry does not give what it was asked for; the message says why, and what to do."""


class Answer(BaseModel):
    """What is known of several images."""

    model_config = ConfigDict(frozen=True)

    images: dict[str, str] = {}
    """Image name to ``REGISTRY/OWNER/NAME@sha256:…``."""
    unreadable: dict[str, str] = {}
    """Image name to why it has no digest, and what to do."""


def look_up(registry: str, images: list[str], public_key: str, tag: str = "latest") -> Answer:
    """The digest of each of IMAGES (below REGISTRY, like ghcr.io/example) under TAG, its signature verified with PUBLIC_KEY.

    Raises:
        RegistryError: a tool or the key is missing, or an image is not signed by the key.
    """
    for tool in ("crane", "cosign"):
        if shutil.which(tool) is None:
            raise RegistryError(f"{tool} is not installed. Fix: make setup, or install {tool} (docs/image.md)")
    if not Path(public_key).is_file():
        raise RegistryError(f"{public_key} does not exist. Fix: commit the public half of the signing key there")
    found, unreadable = {}, {}
    for image in images:
        reference = f"{registry}/{image}"
        try:
            found[image] = f"{reference}@{crane('digest', f'{reference}:{tag}', reference)}"
        except Unreadable as error:
            unreadable[image] = str(error)
            continue
        _verify(found[image], public_key)
    return Answer(images=found, unreadable=unreadable)


def crane(verb: str, reference: str, name: str) -> str:
    """What `crane VERB REFERENCE` prints. NAME is what the image is called in errors.

    Raises:
        Unreadable: crane is not there, or the registry does not give it.
    """
    try:
        done = subprocess.run(["crane", verb, reference], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Unreadable("crane is not installed. Fix: make setup") from None
    if done.returncode:
        raise Unreadable(why_unreadable(name, done.stderr))
    return done.stdout.strip()


def why_unreadable(reference: str, said: str) -> str:
    """What SAID, the error of a registry's client, means for the image REFERENCE, and what to do."""
    registry, _, path = reference.partition("/")
    owner, _, name = path.partition("/")
    if any(word in said for word in _DENIED):
        page = f"https://github.com/users/{owner}/packages/container/{name}/settings" if registry == "ghcr.io" else "its page"
        return (
            f"{reference}: the registry denies it without a login, as it does with a private package (every new one is) and with "
            f"one that was never published. Fix: make it public on {page}, or log in here (crane auth login {registry}) and give "
            "its hosts a pull secret (docs/image.md)"
        )
    if any(word in said for word in _ABSENT):
        return f"{reference}: was not published yet. Fix: see whether its repository's workflow ran, and ended well"
    lines = said.strip().splitlines()
    return f"{reference}: the registry does not answer: {lines[-1] if lines else 'no reason given'}. Fix: run it again later"


def _verify(reference: str, public_key: str) -> None:
    """Raises RegistryError unless PUBLIC_KEY verifies the signature of REFERENCE, in the form that rpm-ostree and bootc see."""
    # The transparency log is not asked: the key is the owner's, and hosts do not ask it either.
    options = ["--key", public_key, "--insecure-ignore-tlog=true", "--new-bundle-format=false"]
    done = subprocess.run(["cosign", "verify", *options, reference], capture_output=True, text=True, check=False)
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if line and not line.startswith("WARNING")]
        raise RegistryError(
            f"{reference} is not signed by {public_key} ({reasons[0] if reasons else 'no signature'}); no host is given it. "
            "Fix: build it again, or commit the right public key"
        )

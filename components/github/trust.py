"""Whom the image trusts: the container policy that `ostree-image-signed:` is checked against.

Sources: containers-policy.json(5), containers-registries.d(5). rpm-ostree refuses a policy whose default accepts anything, so the
default rejects, and what people run in podman is accepted registry by registry under the docker transport.
"""

import json

KEY = "/etc/pki/containers/aether.pub"
_UBLUE_KEY = "/etc/pki/containers/ublue-os.pub"


def policy_files(registry: str, public_key: str) -> dict[str, str]:
    """Files of the image, by path below its root, that make REGISTRY (like ghcr.io/example) trusted by PUBLIC_KEY alone."""
    return {
        "etc/containers/policy.json": json.dumps(_policy(registry), indent=2) + "\n",
        # Without it the signatures, which are attachments beside the image, are not looked for.
        "etc/containers/registries.d/aether.yaml": f"docker:\n  {registry}:\n    use-sigstore-attachments: true\n",
        KEY.removeprefix("/"): public_key,
    }


def _policy(registry: str) -> dict[str, object]:
    anything = [{"type": "insecureAcceptAnything"}]
    return {
        "default": [{"type": "reject"}],
        "transports": {
            "docker": {
                registry: [_signed_by(KEY)],
                "ghcr.io/ublue-os": [_signed_by(_UBLUE_KEY)],
                "": anything,
            },
            "docker-daemon": {"": anything},
            "containers-storage": {"": anything},
            "dir": {"": anything},
            "oci": {"": anything},
            "oci-archive": {"": anything},
            "docker-archive": {"": anything},
        },
    }


def _signed_by(key: str) -> dict[str, object]:
    return {"type": "sigstoreSigned", "keyPath": key, "signedIdentity": {"type": "matchRepository"}}

"""Prints, as JSON, the verified digest of every published image, and why another has none; or, alone, an error.

Environment: AETHER_REGISTRY (registry/owner), AETHER_IMAGES (names), AETHER_PUBLIC_KEY (file). Needs crane and cosign.
"""

import json
import os

from components.registry.lookup import RegistryError, look_up


def main() -> None:
    try:
        answer = look_up(os.environ["AETHER_REGISTRY"], os.environ["AETHER_IMAGES"].split(), os.environ["AETHER_PUBLIC_KEY"])
    except RegistryError as error:
        # An exit code would make the reason one line among the engine's own.
        print(json.dumps({"error": str(error)}))
    else:
        print(answer.model_dump_json())


if __name__ == "__main__":
    main()

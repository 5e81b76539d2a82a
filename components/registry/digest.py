"""Prints, as JSON, the digest of one image of somebody else's, or why there is none (components/registry/lookup.py).

Its signature is for the host to verify, whose policy names whom it trusts.
Environment: AETHER_REFERENCE (registry/owner/name:tag), and PULUMI_COMMAND_STDOUT, what the last run said. Needs crane.
"""

import os
import sys

from components.registry.lookup import Answer, Unreadable, crane


def look_up_one(reference: str, before: Answer) -> Answer:
    """The digest of REFERENCE, with its tag; what BEFORE knew where the registry does not give it."""
    name, _, tag = reference.rpartition(":")
    try:
        return Answer(images={name: f"{name}@{crane('digest', f'{name}:{tag}', name)}"})
    except Unreadable as error:
        return Answer(images=before.images, unreadable={name: str(error)})


def main() -> int:
    before = Answer.model_validate_json(os.environ.get("PULUMI_COMMAND_STDOUT") or "{}")
    answer = look_up_one(os.environ["AETHER_REFERENCE"], before)
    for reason in answer.unreadable.values():
        print(reason, file=sys.stderr)
    print(answer.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())

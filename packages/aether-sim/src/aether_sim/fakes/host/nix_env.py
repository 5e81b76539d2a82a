#!/usr/bin/env python3
# mypy: ignore-errors
"""nix-env of a simulated host, for profiles.

Imitates nix-env(1) of Nix 2.28 (https://nix.dev/manual/nix/2.28/command-ref/nix-env): -p PROFILE with --set PATH, --rollback,
--list-generations, --switch-generation N, --delete-generations N…|old|+N. Installing packages is refused: hosts of the
simulator have none. Refuses paths that are not in the store, as Nix does.
"""

import os
import re
import time

from simlib import Refused, link, locked, run

DEFAULT = "/nix/var/nix/profiles/default"


def links(profile):
    """Generation number -> link path."""
    directory, name = os.path.split(profile)
    found = {}
    for file in os.listdir(directory) if os.path.isdir(directory) else ():
        match = re.fullmatch(rf"{re.escape(name)}-(\d+)-link", file)
        if match:
            found[int(match[1])] = f"{directory}/{file}"
    return found


def current(profile):
    """Number of the current generation, or None."""
    try:
        match = re.search(r"-(\d+)-link$", os.readlink(profile))
    except OSError:
        return None
    return int(match[1]) if match else None


def switch(profile, number):
    link(f"{os.path.basename(profile)}-{number}-link", profile)


def store_path(path):
    real = os.path.realpath(path)
    match = re.match(r"/nix/store/[0-9a-z]{32}-[^/]+$", real)
    if not match or not os.path.exists(real):
        raise Refused(
            f"error: path '{path}' is not valid" if "/nix/store" in path else f"error: '{path}' is not in the Nix store"
        )
    return real


def set_generation(profile, path):
    target = store_path(path)
    known = links(profile)
    # Nix takes the last generation again when it is the same path, whichever is the current one.
    last = max(known) if known else 0
    if known and os.readlink(known[last]) == target:
        switch(profile, last)
        return 0
    number = last + 1
    link(target, f"{os.path.dirname(profile)}/{os.path.basename(profile)}-{number}-link")
    switch(profile, number)
    return 0


def list_generations(profile):
    now = current(profile)
    for number, path in sorted(links(profile).items()):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(os.lstat(path).st_mtime))
        print(f"{number:4}   {when}   {'(current)' if number == now else ''}")
    return 0


def rollback(profile):
    now = current(profile)
    before = [number for number in links(profile) if now is not None and number < now]
    if not before:
        raise Refused(f"error: no generation older than the current ({now}) exists")
    print(f"switching profile from version {now} to {max(before)}")
    switch(profile, max(before))
    return 0


def delete(profile, words):
    known, now = links(profile), current(profile)
    for word in words:
        if word == "old":
            doomed = [number for number in known if number != now]
        elif word.startswith("+"):
            doomed = sorted(number for number in known if number != now)[: -int(word[1:]) or None]
        else:
            doomed = [int(word)]
        for number in doomed:
            if number == now:
                raise Refused(f"error: cannot delete current version of profile '{profile}'")
            if number in known:
                print(f"removing profile version {number}")
                os.unlink(known.pop(number))
    return 0


def main(argv):
    profile, words = DEFAULT, list(argv)
    action, rest = None, []
    while words:
        word = words.pop(0)
        if word in ("-p", "--profile"):
            profile = words.pop(0)
        elif word.startswith("-") and action is None and word not in ("-q", "--quiet"):
            action = word
        else:
            rest.append(word)
    if os.geteuid() != 0 and profile.startswith("/nix/var/nix/profiles"):
        raise Refused(f"error: opening lock file '{profile}.lock': Permission denied")
    with locked(f"{profile}.lock", "", wait=True):
        if action == "--set" and rest:
            return set_generation(profile, rest[0])
        if action == "--list-generations":
            return list_generations(profile)
        if action == "--rollback":
            return rollback(profile)
        if action in ("--switch-generation", "-G") and rest:
            if int(rest[0]) not in links(profile):
                raise Refused(f"error: profile version {rest[0]} does not exist")
            switch(profile, int(rest[0]))
            return 0
        if action == "--delete-generations":
            return delete(profile, rest)
    raise Refused(f"error: nix-env {action or ''}: not simulated (profiles only)")


if __name__ == "__main__":
    run(main)

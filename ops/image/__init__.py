"""Images of hosts: look one up in the flake, check the flake, build it, put it into dist/ with checksums and a manifest.

    ./aether image HOST FORMAT [--plain] [--no-run] [--dist DIR]      make image HOST=… FORMAT=…
    ./aether image publish HOST [--write] [--region R] [--dist DIR]   a raw one to AWS: snapshot, AMI, pinned id

FORMAT is raw, iso, qcow, vm, proxmox, lxc or amazon (as the first tools had `build.sh build raw|iso|qcow|vm`). Results lie in
``1_oci`` (containers), ``2_raw`` (disks and media) and ``3_deploy`` (manifests and SHA256SUMS) of dist/. Run again after
an interruption and it goes on: Nix keeps what it built, a copy continues at its last byte. For people: docs/machines.md.
"""

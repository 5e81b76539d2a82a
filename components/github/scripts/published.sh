#!/usr/bin/env bash
# Prints, as JSON, the digest of every published image, after its signature was verified with the public key; or, alone,
# {"error": REASON}, which the component ends the run with.
# Environment: AETHER_REGISTRY (registry/owner), AETHER_IMAGES (names), AETHER_PUBLIC_KEY (file). Needs crane and cosign.
set -euo pipefail

fail() {
  jq -cn --arg reason "$1" '{error: $reason}'
  exit 0
}

for tool in crane cosign; do
  command -v "$tool" >/dev/null || fail "$tool is not installed. Fix: make setup, or install $tool (docs/image.md)"
done
[[ -r $AETHER_PUBLIC_KEY ]] || fail "$AETHER_PUBLIC_KEY does not exist. Fix: commit the public half of the signing key there"

separator='' result=''
for image in $AETHER_IMAGES; do
  reference=$AETHER_REGISTRY/$image
  if ! digest=$(crane digest "$reference:latest" 2>&1); then
    case $digest in
      # GHCR says DENIED of a package that does not exist.
      *MANIFEST_UNKNOWN* | *NAME_UNKNOWN* | *DENIED* | *'404 Not Found'*)
        printf '%s was not published yet\n' "$reference" >&2
        continue
        ;;
      *) fail "$reference: the registry does not answer: ${digest##*$'\n'}" ;;
    esac
  fi
  # The transparency log is not asked: the key is the owner's, and hosts do not ask it either.
  if ! reason=$(cosign verify --key "$AETHER_PUBLIC_KEY" --insecure-ignore-tlog=true --new-bundle-format=false \
    "$reference@$digest" 2>&1 >/dev/null); then
    reason=$(grep -v '^WARNING' <<<"$reason" | head -n 1)
    fail "$reference@$digest is not signed by $AETHER_PUBLIC_KEY (${reason:-no signature}); no host is given it. Fix: build it again, or commit the right public key"
  fi
  result+="$separator\"$image\": \"$reference@$digest\""
  separator=', '
done
printf '{%s}\n' "$result"

# shellcheck shell=bash
# Pushes every folder of $TEMPLATES to Coder at $CODER_URL, as the owner account $CODER_ADMIN_EMAIL (made on a new
# deployment) whose password is credential admin-password. Workspaces get the image $WORKSPACE_IMAGE.
set -euo pipefail

api() { # api METHOD PATH: JSON from stdin to stdout; fails on an HTTP error
  curl -fsS --retry 10 --retry-connrefused --retry-delay 3 -X "$1" -H 'Content-Type: application/json' --data-binary @- "$CODER_URL/api/v2/$2"
}

# The password goes by stdin: arguments are public.
account() {
  jq -n --arg email "$CODER_ADMIN_EMAIL" --arg username "$CODER_ADMIN_USERNAME" \
    --rawfile password "$CREDENTIALS_DIRECTORY/admin-password" \
    '{email: $email, username: $username, password: ($password | rtrimstr("\n"))}'
}

curl -fsS --retry 20 --retry-connrefused --retry-delay 3 -o /dev/null "$CODER_URL/healthz"
if ! curl -fsS -o /dev/null "$CODER_URL/api/v2/users/first"; then
  account | api POST users/first >/dev/null
  echo "made the owner account $CODER_ADMIN_EMAIL"
fi
CODER_SESSION_TOKEN=$(account | jq '{email, password}' | api POST users/login | jq -r .session_token)
export CODER_SESSION_TOKEN

for template in "$TEMPLATES"/*/; do
  name=$(basename "$template")
  coder templates push "$name" --directory "$template" --variable "image=$WORKSPACE_IMAGE" --yes
done

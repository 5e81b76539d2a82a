#!/usr/bin/env bash
# configure.sh STATE [databases]: brings OpenBao to STATE (JSON, made by state.nix): mounts, logins, policies, writes, groups;
# or its databases alone.
# Safe to repeat. A mount that exists with another type stops it: nothing that holds data is ever removed.
# Environment: BAO_ADDR; CREDENTIALS_DIRECTORY with configuration-password and what the writes name.
set -euo pipefail
state=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

login() {
  local deadline=$((SECONDS + ${LOGIN_TIMEOUT:-120}))
  until BAO_TOKEN=$(bao write -field=token auth/local/login/configuration password=- \
    <"$CREDENTIALS_DIRECTORY/configuration-password" 2>"$work/login"); do
    # Freshly started, it elects itself first.
    if [ "$SECONDS" -ge "$deadline" ]; then
      cat "$work/login" >&2
      echo "cannot log in as 'configuration': was its password changed in secrets/ alone? (openbao/README.md)" >&2
      return 1
    fi
    sleep 2
  done
  export BAO_TOKEN
  trap 'bao token revoke -self >/dev/null; rm -rf "$work"' EXIT
}

# mounts KIND LIST: KIND is the key in STATE and LIST the API path: mounts and sys/mounts, auth and sys/auth.
mounts() {
  local kind=$1 api=$2 path wanted present
  bao read -format=json "$api" | jq '.data' >"$work/present"
  while IFS= read -r path; do
    wanted=$(jq --raw-output --arg k "$kind" --arg p "$path" '.[$k][$p].type' "$state")
    present=$(jq --raw-output --arg p "$path/" '.[$p].type // ""' "$work/present")
    if [ -z "$present" ]; then
      echo "$api/$path: new ($wanted)"
      jq --arg k "$kind" --arg p "$path" '.[$k][$p]' "$state" | bao write "$api/$path" - >/dev/null
    elif [ "$present" != "$wanted" ]; then
      echo "$api/$path is of type $present, not $wanted: move its data, then \`bao delete $api/$path\`" >&2
      return 1
    else
      jq --arg k "$kind" --arg p "$path" '.[$k][$p] | {description} + (.config // {})' "$state" |
        bao write "$api/$path/tune" - >/dev/null
    fi
  done < <(jq --raw-output --arg k "$kind" '.[$k] | keys[]' "$state")
}

policies() {
  local name
  while IFS= read -r name; do
    jq --arg n "$name" '{policy: .policies[$n]}' "$state" | bao write "sys/policies/acl/$name" - >/dev/null
  done < <(jq --raw-output '.policies | keys[]' "$state")
  # Two are OpenBao's own.
  bao list -format=json sys/policies/acl | jq --raw-output '.[]' | grep -vxF -e default -e root >"$work/present" || true
  while IFS= read -r name; do
    echo "policy $name: no longer declared"
    bao delete "sys/policies/acl/$name" >/dev/null
  done < <(jq --raw-output '.policies | keys[]' "$state" | grep -vxFf - "$work/present")
}

# A write's data with its files put in; a name without slash is a credential.
body() {
  local index=$1 field file
  jq --argjson i "$index" '.writes[$i].data' "$state" >"$work/body"
  while IFS= read -r field; do
    : >"$work/value"
    while IFS= read -r file; do
      case $file in */*) ;; *) file=$CREDENTIALS_DIRECTORY/$file ;; esac
      cat "$file" >>"$work/value"
    done < <(jq --raw-output --argjson i "$index" --arg f "$field" '.writes[$i].files[$f][]' "$state")
    jq --arg f "$field" --rawfile value "$work/value" '.[$f] = $value' "$work/body" >"$work/body.new"
    mv "$work/body.new" "$work/body"
  done < <(jq --raw-output --argjson i "$index" '.writes[$i].files // {} | keys[]' "$state")
  cat "$work/body"
}

writes() {
  local index count path
  count=$(jq '.writes | length' "$state")
  for ((index = 0; index < count; index++)); do
    path=$(jq --raw-output --argjson i "$index" '.writes[$i].path' "$state")
    body "$index" | bao write "$path" - >/dev/null
  done
}

groups() {
  local name mount accessor
  mount=$(jq --raw-output '.groups.mount' "$state")
  accessor=$(bao read -format=json sys/auth | jq --raw-output --arg m "$mount/" '.data[$m].accessor')
  while IFS= read -r name; do
    jq --arg n "$name" '{type: "external", policies: .groups.policies[$n]}' "$state" |
      bao write "identity/group/name/$name" - >/dev/null
    bao read -format=json "identity/group/name/$name" | jq '.data' >"$work/group"
    # An alias is made once; the same again is an error.
    if ! jq --exit-status --arg a "$accessor" --arg n "$name" \
      '.alias.mount_accessor == $a and .alias.name == $n' "$work/group" >/dev/null; then
      jq --arg a "$accessor" --arg n "$name" '{name: $n, mount_accessor: $a, canonical_id: .id}
        + (if .alias.id then {id: .alias.id} else {} end)' \
        "$work/group" | bao write identity/group-alias - >/dev/null
    fi
  done < <(jq --raw-output '.groups.policies | keys[]' "$state")
}

# A database gives nobody an account before the password that secrets/ knows is replaced by one that OpenBao keeps to itself:
# an empty allowed_roles says that it is not. What fails in between is done again.
databases() {
  local name role
  while IFS= read -r name; do
    jq --arg n "$name" '.databases[$n].config + {allowed_roles: []}' "$state" >"$work/config"
    if ! bao read -format=json "database/config/$name" >"$work/present" 2>"$work/error"; then
      # Not there is the one error that is none.
      grep -q 'No value found' "$work/error" || { cat "$work/error" >&2; return 1; }
      echo "database $name: new"
      jq --rawfile password "$CREDENTIALS_DIRECTORY/$(jq --raw-output --arg n "$name" '.databases[$n].password' "$state")" \
        '. + {password: $password | rtrimstr("\n")}' "$work/config" | bao write "database/config/$name" - >/dev/null
      echo '{"data": {"allowed_roles": []}}' >"$work/present"
    fi
    if jq --exit-status '.data.allowed_roles == []' "$work/present" >/dev/null; then
      bao write -force "database/rotate-root/$name" >/dev/null
      echo "database $name: a password of OpenBao's own"
    fi
    # Without a password it keeps the one that it has; it logs in with that before the rest is taken.
    jq --slurpfile state "$state" --arg n "$name" '.allowed_roles = ($state[0].databases[$n].roles | keys)' "$work/config" |
      bao write "database/config/$name" - >/dev/null
    while IFS= read -r role; do
      jq --arg n "$name" --arg r "$role" '.databases[$n].roles[$r] + {db_name: $n}' "$state" |
        bao write "database/roles/$role" - >/dev/null
    done < <(jq --raw-output --arg n "$name" '.databases[$n].roles | keys[]' "$state")
  done < <(jq --raw-output '.databases | keys[]' "$state")
}

login
case ${2:-} in
  databases) databases ;;
  '')
    mounts mounts sys/mounts
    mounts auth sys/auth
    policies
    writes
    groups
    ;;
  *)
    echo "configure.sh: no part '$2' (databases, or nothing)" >&2
    exit 64
    ;;
esac
echo "as declared"

#!/usr/bin/env bash
# keycloak-realm.sh FILE: holds a realm (JSON, as keycloak-config-cli imports it) against Keycloak's own types: a field that
# Keycloak does not know, or of another type, is an error. Keycloak's admin client and TypeScript are in the node_modules
# beside it, where get-checkers.sh puts all of them.
set -euo pipefail
modules=$(dirname "$(realpath "$0")")/node_modules file=$1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$modules" "$work/node_modules"
# Where the client says `any`, the type that it has for the part; the flow's flag is misspelt there.
{
  cat <<'TYPES'
import type Execution from "@keycloak/keycloak-admin-client/lib/defs/authenticationExecutionExportRepresentation.js";
import type Flow from "@keycloak/keycloak-admin-client/lib/defs/authenticationFlowRepresentation.js";
import type Mapper from "@keycloak/keycloak-admin-client/lib/defs/protocolMapperRepresentation.js";
import type Realm from "@keycloak/keycloak-admin-client/lib/defs/realmRepresentation.js";
import type Scope from "@keycloak/keycloak-admin-client/lib/defs/clientScopeRepresentation.js";

type Steps = { authenticationExecutions?: (Execution & { authenticatorFlow?: boolean })[] };
type Checked = Omit<Realm, "authenticationFlows" | "clientScopes" | "protocolMappers"> & {
  authenticationFlows?: (Omit<Flow, "authenticationExecutions"> & Steps)[];
  clientScopes?: Scope[];
  protocolMappers?: Mapper[];
};
TYPES
  printf 'export const realm: Checked = '
  cat "$file"
} >"$work/realm.ts"
cd "$work"
node node_modules/typescript/bin/tsc --noEmit --strict --skipLibCheck --module nodenext --moduleResolution nodenext \
  --target es2022 realm.ts

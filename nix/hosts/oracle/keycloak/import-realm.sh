#!/usr/bin/env bash
# import-realm.sh: runs keycloak-config-cli with trust in the homelab's CA. Java reads no PEM bundle, so the
# certificate is put into a store first; it is public, hence the password that everyone knows.
# Environment: CA_CERTIFICATE (PEM), RUNTIME_DIRECTORY, and keycloak-config-cli's own.
set -euo pipefail

store=$RUNTIME_DIRECTORY/trust.p12
rm -f "$store"
keytool -importcert -noprompt -alias aether -file "$CA_CERTIFICATE" \
  -keystore "$store" -storetype PKCS12 -storepass changeit
export JAVA_TOOL_OPTIONS="${JAVA_TOOL_OPTIONS:-} -Djavax.net.ssl.trustStore=$store -Djavax.net.ssl.trustStorePassword=changeit"
exec keycloak-config-cli

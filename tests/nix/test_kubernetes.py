"""The cluster and the homelab: what each is told of the other is the same on both sides."""

import json
import re
from typing import Any

import pytest
import yaml

from inventory.load import load
from nix.tools import evaluate

from .caddyfile import site as block
from .conftest import ROOT, ask, host_report
from .realm import ISSUER, clients
from .workloads import only

FACTS = load(ROOT / "inventory/homelab.toml")


@pytest.fixture(scope="module")
def told(nix: None) -> dict[str, list[dict[str, Any]]]:
    """What the cluster's owner applies, by its name: documents."""
    lib, texts = (evaluate.path_literal(ROOT / folder) for folder in ("nix/lib", "nix/kubernetes"))
    expression = f"import {texts} {{ aetherLib = import {lib} {{ root = {evaluate.path_literal(ROOT)}; }}; }}"
    found = evaluate.run(["eval", "--json", "--impure", "--expr", expression], json_output=True).value
    documents = {name: list(yaml.safe_load_all(text)) for name, text in found.items()}
    return documents | {"manifests": documents["manifests"][0]["items"]}


def _one(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [document for document in documents if document["kind"] == kind]
    return found


def test_the_api_takes_the_tokens_that_the_realm_makes(told: dict[str, list[dict[str, Any]]]) -> None:
    (issuer,) = _one(told["talos"], "KubeAuthenticationConfig")["configuration"]["jwt"]
    (audience,) = issuer["issuer"]["audiences"]
    client = clients()[audience]
    assert issuer["issuer"]["url"] == ISSUER
    assert client["publicClient"] and client["attributes"]["pkce.code.challenge.method"] == "S256" and "secret" not in client
    assert set(client["redirectUris"]) == {"http://localhost:8000", "http://localhost:18000"}
    # The groups that the API reads are in the token, without a slash before them.
    assert issuer["claimMappings"]["groups"] == {"claim": "groups", "prefix": "keycloak:"}
    assert issuer["claimMappings"]["groups"]["claim"] in client["defaultClientScopes"]
    templates = ask("nixosConfigurations.keycloak.config.sops.templates", "builtins.mapAttrs (_: template: template.content)")
    realm = json.loads(templates["homelab-realm.json"])
    (scope,) = [scope for scope in realm["clientScopes"] if scope["name"] == "groups"]
    (mapper,) = scope["protocolMappers"]
    assert mapper["config"]["claim.name"] == "groups" and mapper["config"]["full.path"] == "false"
    assert mapper["config"]["id.token.claim"] == "true"
    (admins,) = [item for item in told["manifests"] if item["metadata"]["name"] == "aether:admins"]
    assert admins["roleRef"]["name"] == "cluster-admin"
    (subject,) = admins["subjects"]
    assert subject["kind"] == "Group" and subject["name"].removeprefix("keycloak:") in {
        group["name"] for group in realm["groups"]
    }
    # Of nobody else is anything said.
    assert [item["metadata"]["name"] for item in told["manifests"] if item["kind"] == "ClusterRoleBinding"] == [
        "aether:admins",
        "aether:openbao",
    ]


def test_the_api_asks_keycloak_where_its_certificate_is_the_own_authoritys(told: dict[str, list[dict[str, Any]]]) -> None:
    (issuer,) = _one(told["talos"], "KubeAuthenticationConfig")["configuration"]["jwt"]
    name = re.fullmatch(r"https://([\w.-]+)/realms/homelab/\.well-known/openid-configuration", issuer["issuer"]["discoveryURL"])
    assert name
    assert issuer["issuer"]["certificateAuthority"] == (ROOT / "nix/pki/root_ca.crt").read_text()
    assert "import internal" in block(only("gateway", "Caddyfile"), name[1])
    # It is sent there for the keys, too, and not to the public name.
    assert "hostname-backchannel-dynamic=true" in only("keycloak", "keycloak.conf")


def test_the_clusters_names_lead_to_the_gateway_and_through_it(told: dict[str, list[dict[str, Any]]]) -> None:
    rewrites = ask("nixosConfigurations.adguard.config.services.adguardhome.settings")["filtering"]["rewrites"]
    answers = {entry["domain"]: entry["answer"] for entry in rewrites}
    (name,) = _one(told["talos"], "KubeAPIServerConfig")["certExtraSANs"]
    domain = name.removeprefix("api.")
    gateway = str(FACTS.hosts["gateway"].address)
    assert answers[name] == answers[f"*.{domain}"] == gateway
    proxy = only("gateway", "haproxy.conf")
    assert f"use_backend kubernetes-ingress if {{ req.ssl_sni -m end .{domain} }}" in proxy
    assert _one(told["kubeconfig"], "Config")["clusters"][0]["cluster"]["server"] == f"https://{name}:6443"
    assert 6443 in host_report("gateway").value["openPorts"]["tcp"]
    nodes = [str(host.address) for host in FACTS.hosts.values() if "kubernetes" in host.tags]
    for backend, port in (("kubernetes-ingress", 443), ("kubernetes-api", 6443)):
        servers = proxy.split(f"\nbackend {backend}\n")[1].split("\n\n")[0]
        assert re.findall(r"server \S+ (\S+)", servers) == [f"{node}:{port}" for node in nodes]


def test_an_environment_without_the_cluster_has_none_of_its_names() -> None:
    proxy = only("staging-gateway", "haproxy.conf")
    assert "backend kubernetes-api" in proxy and "k8s" not in proxy and "talos" not in proxy


@pytest.mark.parametrize(("kind", "account"), [("ClusterSecretStore", "external-secrets"), ("ClusterIssuer", "cert-manager")])
def test_its_programs_log_in_as_who_openbao_expects(told: dict[str, list[dict[str, Any]]], kind: str, account: str) -> None:
    state = json.loads(ask('nixosConfigurations.openbao.config.environment.etc."openbao/state.json".text'))
    writes = {write["path"]: write["data"] for write in state["writes"]}
    spec = _one(told["manifests"], kind)["spec"]
    vault = spec.get("vault") or spec["provider"]["vault"]
    login = vault["auth"]["kubernetes"]
    role = writes[f"auth/{login['mountPath'].rpartition('/')[2]}/role/{login['role']}"]
    assert login["role"] == account and role["token_policies"] == [account]
    who = login["serviceAccountRef"]
    assert role["bound_service_account_names"] == [who["name"]]
    assert role["bound_service_account_namespaces"] == [who.get("namespace", account)]
    # For OpenBao; and for the cluster, or it would not answer whose token that is.
    assert who["audiences"] == [role["audience"], "https://kubernetes.default.svc"]
    (reviewers,) = [item for item in told["manifests"] if item["metadata"]["name"] == "aether:openbao"]
    assert reviewers["roleRef"]["name"] == "system:auth-delegator"
    assert {"kind": "ServiceAccount", "name": who["name"], "namespace": account} in reviewers["subjects"]
    made = [item["metadata"] for item in told["manifests"] if item["kind"] == "ServiceAccount"]
    assert {"name": who["name"], "namespace": account} in made
    assert vault["server"] == "https://openbao.home.example.org:8200"
    api = writes["auth/kubernetes/config"]
    assert api["kubernetes_host"] == _one(told["kubeconfig"], "Config")["clusters"][0]["cluster"]["server"]
    assert api["kubernetes_ca_cert"] == (ROOT / "nix/pki/kubernetes_ca.crt").read_text()
    # No token of the cluster's is kept: each is shown to the cluster as itself.
    assert api["disable_local_ca_jwt"] and "token_reviewer_jwt" not in api

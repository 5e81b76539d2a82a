"""Who logs in where: what services, the proxy, OpenBao and step-ca expect of Keycloak is what its realm has."""

import configparser
import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .conftest import ask, host_report
from .realm import ISSUER, clients
from .servers import FACTS, texts
from .workloads import only, settings


class TestIdentity:
    def test_grafana_logs_in_and_out_where_keycloak_lets_it(self) -> None:
        ini = configparser.RawConfigParser()
        ini.read_string(only("monitoring", "config.ini"))
        oauth, client = ini["auth.generic_oauth"], clients()["grafana"]
        assert all(oauth[key].startswith(f"{ISSUER}/protocol/openid-connect/") for key in ("auth_url", "token_url", "api_url"))
        assert f"{ini['server']['root_url']}/login/generic_oauth" in client["redirectUris"]
        (back,) = parse_qs(urlsplit(oauth["signout_redirect_url"]).query)["post_logout_redirect_uri"]
        assert back in logouts(client)

    def test_the_proxy_comes_back_to_every_name_behind_it(self) -> None:
        arguments = settings(host_report("gateway").value["units"]["oauth2-proxy.service"])["ExecStart"][0]
        assert f"--oidc-issuer-url='{ISSUER}'" in arguments or f"--oidc-issuer-url={ISSUER}" in arguments
        assert set(clients()["gateway"]["redirectUris"]) == {
            f"https://{facts.get('subdomain', name)}.home.example.org/oauth2/callback"
            for name, facts in FACTS["services"].items()
            if facts.get("login", "proxy") == "proxy"
        }

    def test_coder_comes_back_to_its_own_name(self) -> None:
        unit = host_report("dev").value["units"]["coder.service"]
        (url,) = re.findall(r'CODER_ACCESS_URL=([^"\s]+)', unit)
        (issuer,) = re.findall(r'CODER_OIDC_ISSUER_URL=([^"\s]+)', unit)
        assert issuer == ISSUER and f"{url}/api/v2/users/oidc/callback" in clients()["coder"]["redirectUris"]

    def test_openbao_and_step_ca_name_clients_and_addresses_that_exist(self) -> None:
        state = json.loads(ask('nixosConfigurations.openbao.config.environment.etc."openbao/state.json".text'))
        named = set(re.findall(r'https?://[^"\s,]+/oidc/callback', json.dumps(state)))
        assert named and named == set(clients()["openbao"]["redirectUris"])
        ca = ask("nixosConfigurations.step-ca.config.services.step-ca.settings")
        oidc = [entry for entry in ca["authority"]["provisioners"] if entry["type"] == "OIDC"]
        assert oidc
        for entry in oidc:
            assert entry["configurationEndpoint"].startswith(ISSUER) and entry["clientID"] in clients()

    def test_keycloak_calls_itself_what_tokens_say(self) -> None:
        report = host_report("keycloak").value
        assert "https://auth.example.org" in "\n".join([*report["units"].values(), texts("keycloak")])


def logouts(client: dict[str, Any]) -> list[str]:
    """Where Keycloak lets a logout lead: `+` stands for the redirect URIs."""
    allowed = client["attributes"]["post.logout.redirect.uris"]
    return list(client["redirectUris"]) if allowed == "+" else allowed.split("##")

"""A person logs in to a service behind the gateway: the hosts' own units and texts, a real systemd on each, and a real browser.

HAProxy, Caddy, oauth2-proxy, Keycloak with PostgreSQL, step-ca and Prometheus are the real programs (get-checkers.sh --house).
Caddy's certificates are step-ca's, by ACME, over the way that every visitor takes. Not the hosts' own are: the authority's keys,
every secret, Keycloak's certificate, lives of two minutes, and that Keycloak's own API brings the realm in. The same login goes
through from outside, over the public gateway and the tunnel (house_outside.py), to a service that is made public for it.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trustme

from . import house
from .conftest import CACHE, ask
from .house import Container, House, filled, of_hash
from .house_hosts import ADDRESS, SERVICE, certified_by, gateway_texts, packaged, prometheus_texts, served_names, step_ca
from .house_outside import ADDRESS as VISITORS_ADDRESS
from .house_outside import Outside, answers, sites_with, trusts, visitor, way_in
from .places import eventually

pytestmark = [pytest.mark.long, pytest.mark.in_order("the first login makes what the next one is asked for")]
pyotp = pytest.importorskip("pyotp", reason="pyotp is not installed: uv sync --group browser")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: uv sync --group browser")

ISSUER = "auth.example.org"
REALM = "/realms/homelab"
PUBLIC = "prometheus.example.org"
"""SERVICE by a public name: the inventory has no public service behind the gateway's login."""
PERSON = "mitso"
PASSWORD = "correct horse battery staple"


@dataclass
class Fleet:
    gateway: Container
    keycloak: Container
    authority: Container
    monitoring: Container
    browser: Container
    visitor: Container
    """Somebody outside."""
    root: bytes
    """The authority's root, PEM."""
    key: str = ""
    """Of the person's one-time codes, once the browser has seen it."""
    realm: dict[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if why := house.may():
        pytest.skip(why)
    checkers = CACHE / "checkers"
    if not (checkers / "house" / "complete").exists():
        pytest.skip("the programs are not there: nix/tools/get-checkers.sh --house")
    with House(checkers / "house/root", tmp_path_factory.mktemp("house")) as made:
        yield deployed(made)


def deployed(made: House) -> Fleet:
    """All five, up, with the realm in Keycloak."""
    top = trustme.CA(organization_name="test", key_type=trustme.KeyType.ECDSA)
    middle = top.create_child_ca(key_type=trustme.KeyType.ECDSA)
    names = served_names() | {PUBLIC: ADDRESS["gateway"]}
    hosts = {name: made.container(name, ADDRESS[name], names) for name in ("step-ca", "keycloak", "gateway", "monitoring")}
    certified_by(top, middle, *hosts.values())
    fleet = Fleet(
        hosts["gateway"],
        hosts["keycloak"],
        hosts["step-ca"],
        hosts["monitoring"],
        made.container("browser", "192.168.10.250", names),
        visitor(made, PUBLIC),
        top.cert_pem.bytes(),
    )
    # The life is short, so that renewals happen while the test looks on.
    step_ca(fleet.authority, middle, {"defaultTLSCertDuration": "2m", "minTLSCertDuration": "1m"})
    settings = fleet.authority.root / "etc/smallstep/ca.json"
    policy = json.loads(settings.read_text())
    policy["authority"]["policy"]["x509"]["allow"]["dns"].append(PUBLIC)
    settings.write_text(json.dumps(policy))
    keycloak(fleet, middle)
    gateway(fleet)
    prometheus_texts(fleet.monitoring)
    for host in made.containers:
        host.start()
    trusts(fleet.browser, fleet.root)
    fleet.monitoring.runs("prometheus.service")
    for unit in ("haproxy.service", "caddy.service"):
        fleet.gateway.runs(unit)
    fleet.authority.runs("step-ca.service")
    serves(fleet)
    bring_realm(fleet)
    return fleet


def keycloak(fleet: Fleet, middle: Any) -> None:
    host = fleet.keycloak
    place = "/opt/keycloak"
    host.programs = {"keycloak-26": place, "keycloak-themes": f"{place}/themes"}
    certificate = middle.issue_cert("keycloak.home.example.org")
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    host.write("/var/lib/acme/keycloak/fullchain.pem", chain.decode())
    host.write("/var/lib/acme/keycloak/key.pem", certificate.private_key_pem.bytes().decode())
    # What Nix brings by itself, beside Debian's programs.
    host.write("/usr/bin/replace-secret", REPLACE_SECRET, 0o755)
    (host.root / "usr/bin/kc.sh").symlink_to(f"{place}/bin/kc.sh")
    templates = ask("nixosConfigurations.keycloak.config.sops.templates", "builtins.mapAttrs (_: template: template.content)")
    host.secrets["rendered/keycloak-bootstrap.env"] = filled(templates["keycloak-bootstrap.env"])
    fleet.realm = json.loads(filled(templates["homelab-realm.json"]))
    (client,) = [client for client in fleet.realm["clients"] if client["clientId"] == "gateway"]
    client["redirectUris"].append(f"https://{PUBLIC}/oauth2/callback")
    for unit in (
        "postgresql.service",
        "postgresql-setup.service",
        "postgresql.target",
        "keycloakPostgreSQLInit.service",
        "keycloak.service",
    ):
        host.unit(unit)


def gateway(fleet: Fleet) -> None:
    host = fleet.gateway
    (client,) = [client for client in fleet.realm["clients"] if client["clientId"] == "gateway"]
    host.secrets["oidc-client-secret"] = client["secret"]
    # AES wants 16, 24 or 32 bytes.
    host.secrets["oauth2-cookie-secret"] = of_hash("c" * 64)
    # With lives of two minutes Caddy has to look more often than every ten.
    gateway_texts(host, fleet.root.decode(), "renew_interval 5s")
    sites, door = host.root / "etc/caddy/caddy_config", host.root / "etc/haproxy.cfg"
    sites.write_text(sites_with(sites.read_text(), SERVICE, PUBLIC))
    named = "req.ssl_sni -i "
    assert named in door.read_text()
    door.write_text(door.read_text().replace(named, f"{named}{PUBLIC} "))
    host.unit("haproxy.service")
    host.unit("oauth2-proxy.service")
    host.unit("caddy.service", base=packaged(host, "caddy.service"))


# What nixpkgs' program of this name does: replace-secret TEXT SECRET-FILE FILE.
REPLACE_SECRET = """#!/usr/bin/bash
secret=$(<"$2") text=$(<"$3")
printf '%s\\n' "${text//"$1"/"$secret"}" >"$3"
"""


def kcadm(host: Container, *arguments: str, feed: str | None = None) -> str:
    """Keycloak's own command for its administrators."""
    command = ["/opt/keycloak/bin/kcadm.sh", *arguments, "--config", "/root/kcadm.config"]
    return host.run("env", "KC_OPTS=-Xmx128m", "TERM=dumb", *command, feed=feed, seconds=200)


def serves(fleet: Fleet, seconds: float = 400) -> None:
    """Waits for Keycloak to answer: it says that it has started before its database is ready."""
    host = fleet.keycloak
    host.runs("keycloak.service", seconds)
    ready = ("curl", "--silent", "--fail", "http://127.0.0.1:9000/health/ready")
    host.eventually(lambda: '"UP"' in host.run(*ready, check=False), "is ready", seconds, lambda: host.log("keycloak.service"))


def bring_realm(fleet: Fleet) -> None:
    """The realm, over what Keycloak gives a new one, as keycloak-config-cli has it."""
    host = fleet.keycloak
    credentials = dict(re.findall(r"^(KC_BOOTSTRAP_\w+)=(.*)$", host.secrets["rendered/keycloak-bootstrap.env"], re.MULTILINE))

    host.write_now("/root/root.pem", fleet.root.decode())
    trust = ("-alias", "root", "-file", "/root/root.pem", "-keystore", "/root/trust", "-storepass", "changeit")
    host.run("keytool", "-importcert", "-noprompt", *trust)
    kcadm(host, "config", "truststore", "--trustpass", "changeit", "/root/trust")
    kcadm(
        host,
        *("config", "credentials", "--server", "https://keycloak.home.example.org:8443", "--realm", "master"),
        *("--client", credentials["KC_BOOTSTRAP_ADMIN_CLIENT_ID"], "--secret", credentials["KC_BOOTSTRAP_ADMIN_CLIENT_SECRET"]),
    )
    kcadm(host, "create", "realms", "-s", "realm=homelab", "-s", "enabled=true")
    fresh = json.loads(kcadm(host, "create", "realms/homelab/partial-export?exportClients=true&exportGroupsAndRoles=true", "-o"))
    kcadm(host, "delete", "realms/homelab")
    kcadm(host, "create", "realms", "-f", "-", feed=json.dumps(merged(fresh, fleet.realm)))
    # An import would take a password for good, whatever it says; keycloak-config-cli sets it in this way.
    for user in fleet.realm["users"]:
        first = ("--new-password", user["credentials"][0]["value"], "--temporary")
        kcadm(host, "set-password", "--target-realm", "homelab", "--username", user["username"], *first)


def merged(fresh: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A realm as it is made, and what is said of it over that; lists by what tells their entries apart. Nobody has a password."""
    result = {**fresh, **own, "users": [{**user, "credentials": []} for user in own["users"]]}
    for key, by in (
        ("clients", "clientId"),
        ("clientScopes", "name"),
        ("authenticationFlows", "alias"),
        ("requiredActions", "alias"),
    ):
        kept = {entry[by]: entry for entry in fresh.get(key, [])}
        result[key] = list((kept | {entry[by]: entry for entry in own[key]}).values())
    result["roles"] = {"realm": fresh["roles"]["realm"], "client": {**fresh["roles"]["client"], **own["roles"]["client"]}}
    return result


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    with playwright.sync_playwright() as made:
        yield made


@pytest.fixture(scope="module")
def chromium(fleet: Fleet, driver: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser that stands in the same network and trusts the homelab's authority alone."""
    yield from browser_of(fleet.browser, driver, tmp_path_factory.mktemp("browser"))


def browser_of(container: Container, driver: Any, folder: Path) -> Iterator[Any]:
    """A browser in a container."""
    start = folder / "chromium"
    into = " ".join([*container.inside, "/usr/bin/env", "-i", "PATH=/usr/bin", "HOME=/root"])
    start.write_text(f'#!/bin/sh\nexec {into} /usr/bin/chromium "$@"\n')
    start.chmod(0o755)
    browser = driver.chromium.launch(
        executable_path=str(start), chromium_sandbox=False, args=["--disable-gpu", "--disable-dev-shm-usage"]
    )
    yield browser
    browser.close()


@pytest.fixture
def page(chromium: Any, tmp_path: Path) -> Iterator[Any]:
    """A person who has not been here before; what is on the screen at the end is kept."""
    yield from page_of(chromium, tmp_path)


def page_of(browser: Any, folder: Path) -> Iterator[Any]:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(60_000)
    yield page
    page.screenshot(path=str(folder / "last.png"))
    context.close()


@pytest.fixture(scope="module")
def way(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """The public gateway is there, and the tunnel."""
    with way_in(fleet.gateway, fleet.visitor, tmp_path_factory.mktemp("outside"), fleet.root, PUBLIC) as found:
        yield found


@pytest.fixture(scope="module")
def chromium_outside(fleet: Fleet, way: Outside, driver: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser that knows public names and the world's authority alone."""
    yield from browser_of(fleet.visitor, driver, tmp_path_factory.mktemp("visitor"))


@pytest.fixture
def page_outside(chromium_outside: Any, tmp_path: Path) -> Iterator[Any]:
    yield from page_of(chromium_outside, tmp_path)


def certified(fleet: Fleet, name: str) -> None:
    """Waits until Caddy has the authority's certificate for NAME."""
    ask = (
        "curl",
        "--silent",
        "--cacert",
        "/root/root.pem",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
        f"https://{name}/",
    )
    answers = lambda: fleet.browser.run(*ask, check=False) not in ("", "000")  # noqa: E731
    fleet.browser.eventually(answers, f"sees a certificate of {name}", 120, lambda: fleet.gateway.log("caddy.service"))


def log_in(fleet: Fleet, page: Any, user: str, password: str, key: str, service: str = SERVICE) -> None:
    """Through the login page: password, then the code of KEY."""
    open_service(fleet, page, service)
    page.fill("#username", user)
    page.fill("#password", password)
    page.click("#kc-login")
    # A code is good once: that of the last login may still be the current one.
    used = pyotp.TOTP(key).now()
    fleet.browser.eventually(lambda: pyotp.TOTP(key).now() != used, "sees a new code", 40)
    page.fill("#otp", pyotp.TOTP(key).now())
    page.click("#kc-login")


def open_service(fleet: Fleet, page: Any, service: str = SERVICE) -> None:
    """The login page that a visitor of the service is sent to."""
    fleet.gateway.eventually(lambda: fleet.gateway.state("oauth2-proxy.service") == "active", "has oauth2-proxy", 60)
    page.goto(f"https://{service}/query")
    assert page.url.startswith(f"https://{ISSUER}{REALM}/"), page.url


def test_a_first_login_sets_password_and_second_factor_and_reaches_the_service(fleet: Fleet, page: Any) -> None:
    certified(fleet, SERVICE)
    certified(fleet, ISSUER)
    open_service(fleet, page)
    page.fill("#username", PERSON)
    page.fill("#password", fleet.realm["users"][0]["credentials"][0]["value"])
    page.click("#kc-login")
    asked = set()
    # Order and number of what a first login asks are Keycloak's.
    while f"{REALM}/login-actions/required-action" in page.url:
        if page.locator("#password-new").count():
            asked.add("password")
            page.fill("#password-new", PASSWORD)
            page.fill("#password-confirm", PASSWORD)
            page.click("[type=submit]")
        else:
            asked.add("second factor")
            page.click("#mode-manual")
            fleet.key = page.inner_text("#kc-totp-secret-key").replace(" ", "")
            page.fill("#totp", pyotp.TOTP(fleet.key).now())
            page.click("#saveTOTPBtn")
    page.wait_for_url(f"https://{SERVICE}/query**")
    assert "Prometheus" in page.title()
    assert asked == {"password", "second factor"}


def test_the_next_login_asks_for_both(fleet: Fleet, page: Any) -> None:
    log_in(fleet, page, PERSON, PASSWORD, fleet.key)
    page.wait_for_url(f"https://{SERVICE}/query**")
    # One login is one for every service behind the gateway: it is let in, to an Alertmanager that does not run here.
    answers = []
    page.on("response", lambda answer: answers.append((answer.url, answer.status)))
    with suppress(playwright.Error):
        page.goto("https://alerts.home.example.org/")
    assert answers == [("https://alerts.home.example.org/", 502)]


def test_a_wrong_password_stays_at_the_login(fleet: Fleet, page: Any) -> None:
    open_service(fleet, page)
    page.fill("#username", PERSON)
    page.fill("#password", "wrong horse battery staple")
    page.click("#kc-login")
    assert "Invalid username or password" in page.inner_text("body")
    assert page.url.startswith(f"https://{ISSUER}{REALM}/")


def test_who_has_an_account_and_not_the_role_is_refused_by_the_gateway(fleet: Fleet, page: Any) -> None:
    key = pyotp.random_base32()
    guest = {
        "username": "guest",
        "email": "guest@example.org",
        "emailVerified": True,
        "enabled": True,
        "firstName": "G",
        "lastName": "G",
    }
    code = {"secretData": json.dumps({"value": key}), "type": "otp"}
    code["credentialData"] = json.dumps(
        {"subType": "totp", "period": 30, "digits": 6, "algorithm": "HmacSHA1", "counter": 0, "secretEncoding": "BASE32"}
    )
    guest["credentials"] = [{"type": "password", "value": PASSWORD}, code]
    kcadm(
        fleet.keycloak,
        "create",
        "partialImport",
        "-r",
        "homelab",
        "-s",
        "ifResourceExists=FAIL",
        "-f",
        "-",
        feed=json.dumps({"users": [guest]}),
    )
    log_in(fleet, page, "guest", PASSWORD, key)
    page.wait_for_url("**/oauth2/callback**")
    assert "403" in page.inner_text("body")


def test_from_outside_the_same_login_leads_to_the_service(fleet: Fleet, way: Outside, page_outside: Any) -> None:
    """Public gateway, WireGuard, HAProxy, Caddy, oauth2-proxy, Keycloak, and back, by public names and the world's authority."""
    eventually(lambda: asks_for_a_login(fleet), 90)
    eventually(lambda: answers(fleet.visitor, ISSUER), 90)
    log_in(fleet, page_outside, PERSON, PASSWORD, fleet.key, PUBLIC)
    page_outside.wait_for_url(f"https://{PUBLIC}/query**")
    assert "Prometheus" in page_outside.title()
    # oauth2-proxy was told whom it speaks to, not the public gateway.
    assert VISITORS_ADDRESS in fleet.gateway.log("oauth2-proxy.service")


def test_inside_and_outside_are_told_one_issuer(fleet: Fleet, way: Outside) -> None:
    path = f"{REALM}/.well-known/openid-configuration"
    asked = ("curl", "--silent", "--fail", "--max-time", "20", "--cacert", "/root/root.pem", f"https://{ISSUER}{path}")
    told = [json.loads(host.run(*asked)) for host in (fleet.browser, fleet.visitor)]
    assert told[0] == told[1]
    assert told[0]["issuer"] == f"https://{ISSUER}{REALM}"


def test_what_is_not_public_is_not_there_for_a_visitor(fleet: Fleet, way: Outside) -> None:
    """Also where he knows the name and asks the public gateway for it."""
    with pytest.raises(AssertionError, match="does not answer visitor"):
        answers(fleet.visitor, SERVICE, "--insecure", "--resolve", f"{SERVICE}:443:198.18.0.1")
    asks_for_a_login(fleet)


def asks_for_a_login(fleet: Fleet) -> None:
    """A visitor of the public service is sent to Keycloak."""
    assert answers(fleet.visitor, PUBLIC) == "302"


def visit(fleet: Fleet, name: str) -> tuple[str, set[str]]:
    """Status and serial numbers of the certificates that NAME answers with; the client trusts the authority alone."""
    shown = fleet.browser.run(
        *("curl", "--silent", "--show-error", "--cacert", "/root/root.pem", "--output", "/dev/null", "--max-time", "10"),
        *("--write-out", "%{http_code} %{certs}", f"https://{name}/"),
    )
    return shown.split()[0], set(re.findall(r"^Serial Number:(\S+)", shown, re.MULTILINE))


def test_renewals_are_seen_by_nobody(fleet: Fleet) -> None:
    """Certificates live two minutes here: three of one name are enough to see that no request is lost between them."""
    certified(fleet, SERVICE)
    seen: set[str] = set()

    def renewed() -> bool:
        status, serials = visit(fleet, SERVICE)
        assert status == "302"
        seen.update(serials)
        # The authority's own comes with each.
        return len(seen) >= 4

    fleet.browser.eventually(renewed, "sees a third certificate", 400, lambda: fleet.gateway.log("caddy.service"))


@pytest.mark.parametrize("unit", ["haproxy", "caddy", "oauth2-proxy", "prometheus", "step-ca", "postgresql", "keycloak"])
def test_what_is_killed_heals_by_itself(fleet: Fleet, page: Any, unit: str) -> None:
    (host,) = [
        one for one in (fleet.gateway, fleet.keycloak, fleet.authority, fleet.monitoring) if f"{unit}.service" in one.units
    ]
    before = host.run("systemctl", "show", "--property=MainPID", "--value", f"{unit}.service").strip()
    host.run("systemctl", "kill", "--signal=KILL", f"{unit}.service")
    host.eventually(
        lambda: host.run("systemctl", "show", "--property=MainPID", "--value", f"{unit}.service").strip() not in ("0", before),
        f"starts {unit} again",
        60,
        lambda: host.log(f"{unit}.service"),
    )
    serves(fleet)
    # HAProxy asks Caddy a few times before it sends anybody there.
    certified(fleet, SERVICE)
    log_in(fleet, page, PERSON, PASSWORD, fleet.key)
    page.wait_for_url(f"https://{SERVICE}/query**")
    assert "Prometheus" in page.title()

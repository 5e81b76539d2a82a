"""Web services: their host, a port and a name of their own, and health checks that agree with them."""

import re
from urllib.parse import urlsplit

from inventory.models import HttpCheck
from inventory.parse import Draft
from inventory.problems import did_you_mean


def check(draft: Draft) -> None:
    """Every service, and the HTTP checks of every host."""
    ports: dict[tuple[str, int], str] = {}
    domains: dict[str, str] = {}
    for name, service in draft.services.items():
        where = f"services.{name}"
        if service.host not in draft.names("hosts"):
            message = f"host '{service.host}' is not declared{did_you_mean(service.host, draft.names('hosts'))}"
            draft.report("unknown-service-host", where, "host", message, "write a host of this file")
        key = (service.host, service.port)
        if key in ports:
            message = f"port {service.port} of {service.host} is service '{ports[key]}' already"
            draft.report("duplicate-port", where, "port", message, "write the port that this service listens on")
        ports.setdefault(key, name)
        subdomain = service.subdomain or name
        if subdomain in domains:
            message = f"'{subdomain}' is the subdomain of service '{domains[subdomain]}' already"
            draft.report(
                "duplicate-subdomain",
                where,
                "subdomain",
                message,
                f'write subdomain = "{name}-2" or the like',
            )
        elif subdomain in draft.names("hosts") | draft.names("nodes"):
            message = f"'{subdomain}' is the name of a machine, so one DNS name would need two addresses"
            fix = f'write subdomain = "{subdomain}-web" or another name: the machine keeps its own'
            draft.report("subdomain-is-host", where, "subdomain", message, fix)
        domains.setdefault(subdomain, name)
    _http_checks(draft)


def _http_checks(draft: Draft) -> None:
    schemes = {(service.host, service.port): service.scheme for service in draft.services.values()}
    names = {(service.host, service.port): name for name, service in draft.services.items()}
    for host, facts in draft.hosts.items():
        for i, check in enumerate(facts.health):
            if not isinstance(check, HttpCheck):
                continue
            at, where = f"health[{i}].http", f"hosts.{host}"
            try:
                url = urlsplit(check.http.replace("{address}", facts.address))
                port = url.port or {"http": 80, "https": 443}[url.scheme]
            except ValueError:
                fix = 'write http = "https://{address}:8443/"'
                draft.report("bad-format", where, at, f"'{check.http}' is not a URL", fix)
                continue
            if unknown := re.findall(r"\{(?!address\})[^}]*\}", check.http):
                message = f"{unknown[0]} stands for nothing"
                draft.report("unknown-placeholder", where, at, message, "write {address} for the host's own address")
            elif url.hostname == facts.address and schemes.get((host, port), url.scheme) != url.scheme:
                wanted = schemes[host, port]
                message = f"speaks {url.scheme} to port {port}, where service '{names[host, port]}' speaks {wanted}"
                fix = f'write http = "{wanted}{check.http.removeprefix(url.scheme)}", or correct the service'
                draft.report("check-contradicts", where, at, message, fix)

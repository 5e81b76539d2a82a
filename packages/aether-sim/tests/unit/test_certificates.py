"""The simulated cluster's certificates."""

import ipaddress
from pathlib import Path

from cryptography import x509

from aether_sim.pve import certificates


def test_an_api_at_another_address_has_a_certificate_for_it_by_the_authority_that_clients_know(tmp_path: Path) -> None:
    certificates.ensure(tmp_path, "127.40.0.1")
    authority = (tmp_path / certificates.AUTHORITY).read_bytes()
    first = (tmp_path / certificates.CERTIFICATE).read_bytes()
    certificates.ensure(tmp_path, "127.40.0.1")
    assert (tmp_path / certificates.CERTIFICATE).read_bytes() == first

    certificates.ensure(tmp_path, "127.208.0.1")
    assert (tmp_path / certificates.AUTHORITY).read_bytes() == authority
    served = x509.load_pem_x509_certificate((tmp_path / certificates.CERTIFICATE).read_bytes())
    names = served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ipaddress.ip_address("127.208.0.1") in names.get_values_for_type(x509.IPAddress)
    served.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))

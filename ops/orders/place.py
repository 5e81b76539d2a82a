"""Where orders lie: a file a host under orders/ of the fleet's cache, written as `nix copy` writes there, by the operator's own
credentials.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from components.aws.client import NoLibraryError, client
from inventory.files import write_whole
from ops.stack import OpsError

TIMEOUT = 10


class PlaceError(OpsError):
    """What the cache said, or that it says nothing."""


@dataclass(frozen=True)
class Place:
    """The orders of one cache. PUSH is where the operator copies to, as Nix calls a store."""

    push: str

    def read(self, host: str, timeout: float = TIMEOUT) -> str | None:
        """The document for HOST; None where there is none.

        Raises:
            PlaceError: the cache does not answer, or refuses.
        """
        url = urlsplit(self.push)
        if url.scheme == "file":
            path = _folder(url.path) / host
            return path.read_text() if path.exists() else None
        if url.scheme == "s3":
            return _S3(self.push).read(f"orders/{host}", timeout)
        import requests

        try:
            answer = requests.get(self._url(host), timeout=timeout)
        except requests.RequestException as error:
            raise PlaceError(f"{self.push} does not answer: {error}") from None
        if answer.status_code == 404:
            return None
        if not answer.ok:
            raise PlaceError(f"{self._url(host)}: {answer.status_code} {answer.reason}")
        return answer.text

    def write(self, host: str, document: str) -> None:
        """Leave DOCUMENT for HOST, in place of the one before.

        Raises:
            PlaceError: the cache does not answer, or refuses.
        """
        url = urlsplit(self.push)
        if url.scheme == "file":
            folder = _folder(url.path)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write_whole(folder / host, document)
                (folder / host).chmod(0o644)
            except OSError as error:
                raise PlaceError(f"{folder / host}: {error.strerror}") from None
            return
        if url.scheme == "s3":
            _S3(self.push).write(f"orders/{host}", document)
            return
        import requests

        try:
            answer = requests.put(self._url(host), data=document.encode(), timeout=TIMEOUT)
        except requests.RequestException as error:
            raise PlaceError(f"{self.push} does not answer: {error}") from None
        if not answer.ok:
            raise PlaceError(
                f"{self._url(host)}: {answer.status_code} {answer.reason}. Fix: let it take files by PUT below orders/"
            )

    def _url(self, host: str) -> str:
        return f"{self.push.partition('?')[0].rstrip('/')}/orders/{host}"


def _folder(path: str) -> Path:
    return Path(unquote(path)) / "orders"


class _S3:
    """A bucket, as Nix's URL says: s3://BUCKET?region=…&endpoint=…&profile=…&scheme=…."""

    def __init__(self, url: str) -> None:
        try:
            from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
        except ImportError:
            raise PlaceError(f"{url}: {NoLibraryError()}") from None
        parts = urlsplit(url)
        said = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        endpoint = said.get("endpoint")
        if endpoint and "://" not in endpoint:
            endpoint = f"{said.get('scheme', 'https')}://{endpoint}"
        self.url, self.bucket = url, parts.netloc
        self.region, self.endpoint, self.profile = said.get("region", "us-east-1"), endpoint, said.get("profile")
        # A server of one's own has its buckets below its name.
        self.style = {"s3": {"addressing_style": "path"}} if endpoint else {}
        self.refusals = ClientError
        self.errors = (BotoCoreError, ClientError)

    def read(self, key: str, timeout: float) -> str | None:
        try:
            return str(self._client(timeout).get_object(Bucket=self.bucket, Key=key)["Body"].read().decode())
        except self.errors as error:
            if isinstance(error, self.refusals) and error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                return None
            raise PlaceError(f"{self.url}: {error}") from None

    def write(self, key: str, document: str) -> None:
        try:
            self._client(TIMEOUT).put_object(Bucket=self.bucket, Key=key, Body=document.encode(), ContentType="text/plain")
        except self.errors as error:
            raise PlaceError(f"{self.url}: {error}") from None

    def _client(self, timeout: float):  # type: ignore[no-untyped-def] # boto3 has no types
        options: dict[str, Any] = {"connect_timeout": timeout, "read_timeout": timeout, **self.style}
        return client("s3", self.region, endpoint=self.endpoint, profile=self.profile, attempts=2, **options)

"""Errors as each AWS service writes them."""

from __future__ import annotations

import json
from xml.sax.saxutils import escape

from aiohttp import web


def service_of(authorization: str) -> str:
    """The service in a signature's scope (``Credential=KEY/DATE/REGION/SERVICE/aws4_request``)."""
    scope = authorization.partition("Credential=")[2].partition(",")[0].split("/")
    return scope[3] if len(scope) > 3 else ""


def access_key_of(authorization: str) -> str:
    """The access key that a request was signed with."""
    return authorization.partition("Credential=")[2].partition("/")[0]


def refuse(service: str, status: int, code: str, message: str) -> web.Response:
    """An error in the service's own form: ec2, query services (iam, sts), rest-xml (route53), json (budgets), rest-json (ebs)."""
    if service == "ebs":
        # Its errors have names of their own.
        kinds = {"Throttling": "RequestThrottledException", "InternalError": "InternalServerException"}
        headers = {"x-amzn-ErrorType": kinds.get(code, code)}
        return web.Response(
            status=status, text=json.dumps({"Message": message}), content_type="application/json", headers=headers
        )
    if service in ("budgets", "dlm"):
        body = json.dumps({"__type": code, "message": message})
        return web.Response(status=status, text=body, content_type="application/x-amz-json-1.1")
    detail = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if service == "ec2":
        text = f"<Response><Errors><Error>{detail}</Error></Errors><RequestID>simulated</RequestID></Response>"
    else:
        text = f"<ErrorResponse><Error><Type>Sender</Type>{detail}</Error><RequestId>simulated</RequestId></ErrorResponse>"
    return web.Response(status=status, text=text, content_type="text/xml")

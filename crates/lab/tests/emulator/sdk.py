"""Lists, attaches, reads and detaches with the official Python SDK; prints what it saw as JSON.

usage: sdk.py ENDPOINT ACCESS_KEY SECRET_KEY HAVIP INSTANCE
"""

import json
import sys

from baidubce.auth.bce_credentials import BceCredentials
from baidubce.bce_client_configuration import BceClientConfiguration
from baidubce.exception import BceError
from baidubce.retry.retry_policy import NoRetryPolicy
from baidubce.services.havip.havip_client import HavipClient


def client(endpoint, access_key, secret_key):
    config = BceClientConfiguration(
        credentials=BceCredentials(access_key, secret_key),
        endpoint=endpoint,
        retry_policy=NoRetryPolicy(),
    )
    return HavipClient(config)


def seen(detail):
    bound = getattr(detail, "binded_instances", None) or []
    return {
        "id": detail.ha_vip_id,
        "status": detail.status,
        "address": detail.private_ip_address,
        "bound": [[b.instance_id, b.instance_type, getattr(b, "master", None)] for b in bound],
    }


def main(endpoint, access_key, secret_key, havip, instance):
    sdk = client(endpoint, access_key, secret_key)
    out = {"list": [seen(h) for h in sdk.get_havip_detail_list(vpc_id="vpc-sandbox").ha_vips]}
    sdk.havip_attach_instance([instance], "SERVER", havip)
    out["attached"] = seen(sdk.get_havip_detail(havip))
    sdk.havip_detach_instance([instance], "SERVER", havip, client_token="token-1")
    out["detached"] = seen(sdk.get_havip_detail(havip))
    try:
        client(endpoint, access_key, secret_key + "x").get_havip_detail(havip)
        out["wrong secret"] = "accepted"
    except BceError as error:
        last = getattr(error, "last_error", error)
        out["wrong secret"] = "%s %s" % (last.status_code, last.code)
    print(json.dumps(out))


main(*sys.argv[1:])

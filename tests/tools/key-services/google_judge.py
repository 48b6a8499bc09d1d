"""Google's own SDK against a server of ours: it signs, checks every checksum, and verifies.

google_judge.py URL RING TOKEN KEY…      each KEY is NAME=ALGORITHM; prints one line for each
"""

import hashlib
import sys

import google_crc32c
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from google.api_core.exceptions import Forbidden, NotFound
from google.cloud import kms
from google.cloud.kms_v1.services.key_management_service.transports import (
    KeyManagementServiceRestTransport,
)
from google.oauth2.credentials import Credentials

MESSAGE = b"signed by google-cloud-kms"


def client(url, token):
    transport = KeyManagementServiceRestTransport(host=url, credentials=Credentials(token))
    return kms.KeyManagementServiceClient(transport=transport)


def checksum(data):
    return int.from_bytes(google_crc32c.Checksum(data).digest(), "big")


def verify(public, algorithm, signature):
    if algorithm == "EC_SIGN_ED25519":
        public.verify(signature, MESSAGE)
        return
    digest = {"SHA256": hashes.SHA256, "SHA384": hashes.SHA384}[algorithm.rsplit("_", 1)[1]]()
    if algorithm.startswith("EC_"):
        public.verify(signature, MESSAGE, ec.ECDSA(digest))
    elif "PSS" in algorithm:
        # "a salt length equal to the length of the digest" (CryptoKeyVersionAlgorithm)
        pss = padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)
        public.verify(signature, MESSAGE, pss, digest)
    else:
        public.verify(signature, MESSAGE, padding.PKCS1v15(), digest)


url, ring, token, *keys = sys.argv[1:]
service = client(url, token)
for key in keys:
    name, algorithm = key.split("=")
    parent = f"{ring}/cryptoKeys/{name}"
    listed = service.list_crypto_key_versions(request={"parent": parent, "filter": "state=ENABLED"})
    version = max(listed, key=lambda version: int(version.name.rsplit("/", 1)[1]))
    assert version.algorithm.name == algorithm, version

    public_key = service.get_public_key(request={"name": version.name})
    assert public_key.name == version.name
    assert public_key.algorithm.name == algorithm
    assert public_key.pem_crc32c == checksum(public_key.pem.encode()), "checksum of the public key"

    request = {"name": version.name}
    if algorithm == "EC_SIGN_ED25519":
        request |= {"data": MESSAGE, "data_crc32c": checksum(MESSAGE)}
    else:
        digest_name = algorithm.rsplit("_", 1)[1].lower()
        digest = hashlib.new(digest_name, MESSAGE).digest()
        request |= {"digest": {digest_name: digest}, "digest_crc32c": checksum(digest)}
    signed = service.asymmetric_sign(request=request)
    assert signed.name == version.name
    assert signed.verified_digest_crc32c or signed.verified_data_crc32c
    assert signed.signature_crc32c == checksum(signed.signature), "checksum of the signature"
    public = serialization.load_pem_public_key(public_key.pem.encode())
    verify(public, algorithm, signed.signature)
    print(f"{name}: {algorithm} verified")

for wrong, request, error in [
    (service, {"name": f"{ring}/cryptoKeys/none/cryptoKeyVersions/1"}, NotFound),
    (client(url, "token-of-somebody-else"), {"name": version.name}, Forbidden),
]:
    try:
        wrong.get_public_key(request=request)
    except error:
        continue
    raise SystemExit(f"{error} was expected")

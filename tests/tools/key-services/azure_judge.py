"""Azure's own SDK against a server of ours: it gets keys, signs, and verifies with the public key.

azure_judge.py URL CA TOKEN KEY…         each KEY is NAME=ALGORITHM[,ALGORITHM…]; prints one line for each
"""

import hashlib
import sys

from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, SignatureAlgorithm

MESSAGE = b"signed by azure-keyvault-keys"


class Token:
    """The token of who asks."""

    def __init__(self, token):
        self.token = token

    def get_token(self, *scopes, **_):
        assert scopes == ("https://vault.azure.net/.default",), scopes
        return AccessToken(self.token, 4102444800)


url, authority, token, *keys = sys.argv[1:]
# The server is no vault of Azure's: its name and its certificate are its own.
options = {"verify_challenge_resource": False, "connection_verify": authority}
service = KeyClient(vault_url=url, credential=Token(token), **options)
for key in keys:
    name, algorithms = key.split("=")
    found = service.get_key(name)
    assert found.name == name, found
    assert found.properties.version, found
    again = service.get_key(name, found.properties.version)
    assert (again.key.n, again.key.x) == (found.key.n, found.key.x)
    crypto = CryptographyClient(found, credential=Token(token), **options)
    for algorithm in algorithms.split(","):
        # A private key is in the vault only, so this is a request.
        digest = hashlib.new("sha" + algorithm[2:], MESSAGE).digest()
        signed = crypto.sign(SignatureAlgorithm(algorithm), digest)
        assert signed.key_id == found.id, (signed.key_id, found.id)
        # And this is not: the SDK verifies with the public key that it got.
        verified = crypto.verify(SignatureAlgorithm(algorithm), digest, signed.signature)
        assert verified.is_valid, algorithm
        other = hashlib.new("sha" + algorithm[2:], b"another message").digest()
        assert not crypto.verify(SignatureAlgorithm(algorithm), other, signed.signature).is_valid
        print(f"{name}: {algorithm} verified")

try:
    service.get_key("none")
    raise SystemExit("a key that is not there was found")
except ResourceNotFoundError:
    pass
try:
    KeyClient(vault_url=url, credential=Token("token-of-somebody-else"), **options).get_key(name)
    raise SystemExit("somebody else was let in")
except HttpResponseError as error:
    assert error.status_code == 403, error

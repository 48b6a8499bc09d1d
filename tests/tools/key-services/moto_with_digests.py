"""moto's server, with two things that it lacks in KMS (moto 5.2.5, kms/models.py: "the
MessageType-parameter DIGEST is not yet implemented"; kms/utils.py: PSS salts of the greatest length).
https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html says what DIGEST means, and
https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html that salts are as
long as the hash.
"""

import threading

from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto.kms import utils
from moto.kms.responses import KmsResponse
from moto.server import main

request = threading.local()


def noting_the_message_type(operation):
    def noting(self):
        request.is_digest = self._get_param("MessageType") == "DIGEST"
        return operation(self)

    return noting


def hashed(algorithm):
    return Prehashed(algorithm) if request.is_digest else algorithm


def ecdsa(hash_algorithm):
    return lambda self, name: hashed(hash_algorithm(self, name))


def rsa(padding_and_hash):
    def right(self, name):
        pad, algorithm = padding_and_hash(self, name)
        if "PSS" in name:
            pad = padding.PSS(padding.MGF1(algorithm), padding.PSS.DIGEST_LENGTH)
        return pad, hashed(algorithm)

    return right


def replace(owner, name, change):
    setattr(owner, name, change(getattr(owner, name)))


replace(KmsResponse, "sign", noting_the_message_type)
replace(KmsResponse, "verify", noting_the_message_type)
replace(utils.ECDSAPrivateKey, "_ECDSAPrivateKey__hash_algorithm", ecdsa)
replace(utils.RSAPrivateKey, "_RSAPrivateKey__padding_and_hash_algorithm", rsa)
main()

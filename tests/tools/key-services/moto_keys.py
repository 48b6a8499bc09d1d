"""Makes keys in moto with AWS's own SDK, and checks signatures there.

moto_keys.py make URL                        makes a key of each kind; prints {name: {id, arn, alias, public}}
moto_keys.py users URL                       makes users, one who may do nothing and one who may read
                                             public keys, and turns IAM on; prints their access keys
moto_keys.py verify URL ID ALGORITHM MESSAGE SIGNATURE   asks KMS whether the signature is right
"""

import base64
import hashlib
import json
import sys
import urllib.request

import boto3

KINDS = {
    "p256": ("ECC_NIST_P256", "SIGN_VERIFY"),
    "p384": ("ECC_NIST_P384", "SIGN_VERIFY"),
    "p521": ("ECC_NIST_P521", "SIGN_VERIFY"),
    "rsa": ("RSA_2048", "SIGN_VERIFY"),
    "encryption": ("RSA_2048", "ENCRYPT_DECRYPT"),
}


def client(service, url):
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def make(url):
    kms = client("kms", url)
    made = {}
    for name, (spec, usage) in KINDS.items():
        key = kms.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]
        kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=key["KeyId"])
        alias = key["Arn"].replace(f"key/{key['KeyId']}", f"alias/{name}")
        made[name] = {"id": key["KeyId"], "arn": key["Arn"], "alias": alias}
        der = kms.get_public_key(KeyId=key["KeyId"])["PublicKey"]
        base64_lines = base64.encodebytes(der).decode()
        made[name]["public"] = f"-----BEGIN PUBLIC KEY-----\n{base64_lines}-----END PUBLIC KEY-----\n"
    print(json.dumps(made))


def users(url):
    iam = client("iam", url)
    made = {}
    for name, actions in {"nobody": [], "reader": ["kms:GetPublicKey"]}.items():
        iam.create_user(UserName=name)
        statement = [{"Effect": "Allow", "Action": action, "Resource": "*"} for action in actions]
        if statement:
            policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
            iam.put_user_policy(UserName=name, PolicyName="allowed", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        made[name] = {"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    # From the next request on, moto asks IAM whether it is allowed.
    request = urllib.request.Request(f"{url}/moto-api/reset-auth", data=b"0", method="POST")
    request.add_header("Content-Type", "text/plain")
    urllib.request.urlopen(request).read()
    print(json.dumps(made))


def verify(url, key, algorithm, message, signature):
    name = "sha" + algorithm.rsplit("_", 1)[1]
    digest = hashlib.new(name, message.encode()).digest()
    answer = client("kms", url).verify(
        KeyId=key,
        Message=digest,
        MessageType="DIGEST",
        SigningAlgorithm=algorithm,
        Signature=base64.b64decode(signature),
    )
    print(json.dumps(answer["SignatureValid"]))


{"make": make, "users": users, "verify": verify}[sys.argv[1]](*sys.argv[2:])

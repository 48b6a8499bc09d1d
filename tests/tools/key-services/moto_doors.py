"""Prepares moto for tests of credentials with AWS's own SDK, and says what it was asked.

moto_doors.py make URL       makes secrets; prints {name: arn}; from then on moto notes what it is asked
moto_doors.py asked URL      prints the targets of the requests that were noted, as a list
moto_doors.py keys URL       prints the ids of the access keys that signed them, likewise
"""

import json
import sys
import urllib.request

import boto3


def post(url):
    urllib.request.urlopen(urllib.request.Request(url, data=b"", method="POST")).read()


def make(url):
    secrets = boto3.client(
        "secretsmanager",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    pair = lambda password: json.dumps({"username": "robot", "password": password})
    json_secret = secrets.create_secret(Name="team/registry", SecretString=pair("S3cret-before"))
    secrets.put_secret_value(SecretId=json_secret["ARN"], SecretString=pair("S3cret-now"))
    text = secrets.create_secret(Name="text", SecretString="S3cret-text\n")
    post(f"{url}/moto-api/recorder/reset-recording")
    post(f"{url}/moto-api/recorder/start-recording")
    print(json.dumps({"json": json_secret["ARN"], "text": text["ARN"]}))


def noted(url):
    with urllib.request.urlopen(f"{url}/moto-api/recorder/download-recording") as answer:
        lines = answer.read().decode().splitlines()
    requests = [json.loads(line)["headers"] for line in lines if line]
    return [{name.lower(): value for name, value in headers.items()} for headers in requests]


def asked(url):
    print(json.dumps([headers.get("x-amz-target", "query").rsplit(".", 1)[-1] for headers in noted(url)]))


def keys(url):
    # AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, …
    credentials = [headers["authorization"].split("Credential=")[1] for headers in noted(url)]
    print(json.dumps([credential.split("/")[0] for credential in credentials]))


{"make": make, "asked": asked, "keys": keys}[sys.argv[1]](*sys.argv[2:])

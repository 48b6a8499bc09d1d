"""Prepares moto for tests of credentials with AWS's own SDK, and says what it was asked.

moto_doors.py make URL       makes secrets; prints {name: arn}; from then on moto notes what it is asked
moto_doors.py asked URL      prints the targets of the requests that were noted, as a list
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


def asked(url):
    with urllib.request.urlopen(f"{url}/moto-api/recorder/download-recording") as answer:
        noted = [json.loads(line) for line in answer.read().decode().splitlines() if line]
    targets = []
    for request in noted:
        headers = {name.lower(): value for name, value in request["headers"].items()}
        targets.append(headers.get("x-amz-target", "query").rsplit(".", 1)[-1])
    print(json.dumps(targets))


{"make": make, "asked": asked}[sys.argv[1]](*sys.argv[2:])

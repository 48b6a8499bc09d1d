"""An outsider at the repositories that moto's ECR has, with AWS's own SDK.

moto_ecr.py show URL REGION NAME…        what each repository is, as JSON
moto_ecr.py create URL REGION NAME…      creates them, as the console does when nothing is chosen
moto_ecr.py put URL REGION NAME permission|lifecycle TEXT   puts a policy, byte by byte
moto_ecr.py tag URL REGION NAME KEY VALUE
moto_ecr.py record URL                   begins to record the requests that moto gets, from none
moto_ecr.py recorded URL                 {action: number} of the requests since
moto_ecr.py user URL                     makes a user that may only look, and turns IAM on; its access key
"""

import collections
import json
import sys
import urllib.request

import boto3


def client(service, url, region):
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def policy(ecr, ask, field, absent):
    try:
        return json.loads(ask()[field])
    except absent:
        return None


def show(url, region, *names):
    ecr = client("ecr", url, region)
    shown = {}
    for name in names:
        repository = ecr.describe_repositories(repositoryNames=[name])["repositories"][0]
        tags = ecr.list_tags_for_resource(resourceArn=repository["repositoryArn"])["tags"]
        shown[name] = {
            "arn": repository["repositoryArn"],
            "mutability": repository["imageTagMutability"],
            "exceptions": [
                one["filter"] for one in repository.get("imageTagMutabilityExclusionFilters", [])
            ],
            "scanOnPush": repository["imageScanningConfiguration"]["scanOnPush"],
            "encryption": repository["encryptionConfiguration"],
            "tags": {tag["Key"]: tag["Value"] for tag in tags},
            "permissionPolicy": policy(
                ecr,
                lambda: ecr.get_repository_policy(repositoryName=name),
                "policyText",
                ecr.exceptions.RepositoryPolicyNotFoundException,
            ),
            "lifecyclePolicy": policy(
                ecr,
                lambda: ecr.get_lifecycle_policy(repositoryName=name),
                "lifecyclePolicyText",
                ecr.exceptions.LifecyclePolicyNotFoundException,
            ),
        }
    print(json.dumps(shown))


def create(url, region, *names):
    ecr = client("ecr", url, region)
    for name in names:
        ecr.create_repository(repositoryName=name)


def put(url, region, name, kind, text):
    ecr = client("ecr", url, region)
    if kind == "permission":
        ecr.set_repository_policy(repositoryName=name, policyText=text)
    else:
        ecr.put_lifecycle_policy(repositoryName=name, lifecyclePolicyText=text)


def tag(url, region, name, key, value):
    ecr = client("ecr", url, region)
    arn = ecr.describe_repositories(repositoryNames=[name])["repositories"][0]["repositoryArn"]
    ecr.tag_resource(resourceArn=arn, tags=[{"Key": key, "Value": value}])


def recorder(url, action, method="POST"):
    request = urllib.request.Request(f"{url}/moto-api/recorder/{action}", method=method)
    return urllib.request.urlopen(request).read().decode()


def record(url):
    recorder(url, "reset-recording")
    recorder(url, "start-recording")


def recorded(url):
    lines = recorder(url, "download-recording", "GET").splitlines()
    headers = [json.loads(line)["headers"] for line in lines if line]
    targets = [{k.lower(): v for k, v in each.items()}.get("x-amz-target", "") for each in headers]
    print(json.dumps(collections.Counter(target.split(".")[-1] for target in targets)))


def user(url):
    iam = client("iam", url, "eu-west-1")
    iam.create_user(UserName="reader")
    statement = {"Effect": "Allow", "Action": ["ecr:Describe*", "ecr:Get*", "ecr:List*"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="reader", PolicyName="allowed", PolicyDocument=document)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    # From the next request on, moto asks IAM whether it is allowed.
    request = urllib.request.Request(f"{url}/moto-api/reset-auth", data=b"0", method="POST")
    request.add_header("Content-Type", "text/plain")
    urllib.request.urlopen(request).read()
    print(json.dumps({"id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}))


commands = [show, create, put, tag, record, recorded, user]
{command.__name__: command for command in commands}[sys.argv[1]](*sys.argv[2:])

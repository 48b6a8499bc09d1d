# Two roles: the reader, which dry runs have, and the writer, which runs on a branch have. Which one a run gets
# is not what it asks for: the roles trust an event, an owner and the very workflow, which GitHub vouches for.
# So a pull request can never write, whatever it changes.
#
# AWS sees `sub`, `aud` and what GitHub is told to put into `sub`. An owner's repositories put event, owner and
# workflow there with this setting (docs/deploy/terraform.md):
#
#   gh api --method PUT orgs/OWNER/actions/oidc/customization/sub \
#     -f 'include_claim_keys[]=repository_owner_id' -f 'include_claim_keys[]=event_name' \
#     -f 'include_claim_keys[]=ref' -f 'include_claim_keys[]=job_workflow_ref'

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region

  writer_events = ["push", "schedule", "workflow_dispatch"]
  dry_events    = ["pull_request", "pull_request_target", "merge_group"]

  writer_subjects = flatten([
    for event in local.writer_events : [
      for ref in var.branch_refs :
      "repository_owner_id:${var.owner_id}:event_name:${event}:ref:${ref}:job_workflow_ref:${var.workflow}"
    ]
  ])
  # Their refs are the pull request's own, and may be any.
  reader_subjects = [
    for event in concat(local.dry_events, local.writer_events) :
    "repository_owner_id:${var.owner_id}:event_name:${event}:ref:refs/*:job_workflow_ref:${var.workflow}"
  ]

  provider_arn = var.create_oidc_provider ? aws_iam_openid_connect_provider.github[0].arn : "arn:${local.partition}:iam::${local.account}:oidc-provider/${var.issuer}"
  repositories = "arn:${local.partition}:ecr:*:${local.account}:repository/${var.namespace}/*"
}

resource "aws_iam_openid_connect_provider" "github" {
  count          = var.create_oidc_provider ? 1 : 0
  url            = "https://${var.issuer}"
  client_id_list = ["sts.${data.aws_partition.current.dns_suffix}"]
}

data "aws_iam_policy_document" "trust" {
  for_each = {
    reader = { subjects = local.reader_subjects, test = "StringLike" }
    writer = { subjects = local.writer_subjects, test = "StringEquals" }
  }

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${var.issuer}:aud"
      values   = ["sts.${data.aws_partition.current.dns_suffix}"]
    }

    condition {
      test     = each.value.test
      variable = "${var.issuer}:sub"
      values   = each.value.subjects
    }
  }
}

data "aws_iam_policy_document" "reader" {
  #checkov:skip=CKV_AWS_356: ecr:GetAuthorizationToken knows no resource
  statement {
    sid       = "Token"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid = "Read"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:DescribeImages",
      "ecr:DescribeRepositories",
      "ecr:GetDownloadUrlForLayer",
      "ecr:GetLifecyclePolicy",
      "ecr:GetRepositoryPolicy",
      "ecr:ListImages",
      "ecr:ListTagsForResource",
    ]
    resources = [local.repositories]
  }

  dynamic "statement" {
    for_each = aws_kms_key.signing

    content {
      sid       = "Verify"
      actions   = ["kms:DescribeKey", "kms:GetPublicKey", "kms:Verify"]
      resources = [statement.value.arn]
    }
  }
}

data "aws_iam_policy_document" "writer" {
  #checkov:skip=CKV_AWS_356: ecr:GetAuthorizationToken knows no resource
  source_policy_documents = [data.aws_iam_policy_document.reader.json]

  statement {
    sid = "Write"
    actions = [
      "ecr:CompleteLayerUpload",
      "ecr:InitiateLayerUpload",
      "ecr:PutImage",
      "ecr:UploadLayerPart",
    ]
    resources = [local.repositories]
  }

  dynamic "statement" {
    for_each = var.create_repositories ? [true] : []

    content {
      sid = "Create"
      actions = [
        "ecr:CreateRepository",
        "ecr:PutImageScanningConfiguration",
        "ecr:PutImageTagMutability",
        "ecr:PutLifecyclePolicy",
        "ecr:SetRepositoryPolicy",
        "ecr:TagResource",
      ]
      resources = [local.repositories]
    }
  }

  dynamic "statement" {
    for_each = aws_kms_key.signing

    content {
      sid       = "Sign"
      actions   = ["kms:Sign"]
      resources = [statement.value.arn]
    }
  }
}

resource "aws_iam_role" "this" {
  for_each             = toset(["reader", "writer"])
  name                 = "${var.name}-${each.key}"
  description          = "image-syncer, the ${each.key}, by the workflow of ${var.owner}"
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  max_session_duration = var.max_session_seconds
}

resource "aws_iam_role_policy" "this" {
  for_each = {
    reader = data.aws_iam_policy_document.reader.json
    writer = data.aws_iam_policy_document.writer.json
  }
  name   = "ecr"
  role   = aws_iam_role.this[each.key].id
  policy = each.value
}

data "aws_iam_policy_document" "key" {
  #checkov:skip=CKV_AWS_109: a key without its account's owner can never be looked after again
  #checkov:skip=CKV_AWS_111: likewise
  #checkov:skip=CKV_AWS_356: in a key's own policy, `*` is that key
  statement {
    sid       = "Account"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }
}

resource "aws_kms_key" "signing" {
  #checkov:skip=CKV_AWS_7: AWS rotates no asymmetric keys
  count                    = var.sign ? 1 : 0
  description              = "Signs what image-syncer mirrors"
  key_usage                = "SIGN_VERIFY"
  customer_master_key_spec = "ECC_NIST_P256"
  policy                   = data.aws_iam_policy_document.key.json
  deletion_window_in_days  = 30

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "signing" {
  count         = var.sign ? 1 : 0
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.signing[0].key_id
}

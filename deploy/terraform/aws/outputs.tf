# By the names of the workflow's inputs.

output "aws_reader" {
  description = "`aws-reader` of the workflow."
  value       = aws_iam_role.this["reader"].arn
}

output "aws_writer" {
  description = "`aws-writer` of the workflow."
  value       = aws_iam_role.this["writer"].arn
}

output "aws_region" {
  description = "`aws-region` of the workflow."
  value       = local.region
}

output "aws_seconds" {
  description = "`aws-seconds` of the workflow, at most."
  value       = var.max_session_seconds
}

output "prefix" {
  description = "`prefix` of the workflow, or `targetRepoPrefix` of the list."
  value       = "${local.account}.dkr.ecr.${local.region}.${data.aws_partition.current.dns_suffix}/${var.namespace}/"
}

output "kms_key" {
  description = "`kms-key` of the workflow, or `kmsKey` of the list; empty without a key."
  value       = var.sign ? "awskms:///${aws_kms_alias.signing[0].name}" : ""
}

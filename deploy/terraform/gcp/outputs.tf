# By the names of the workflow's inputs.

output "google_provider" {
  description = "`google-provider` of the workflow."
  value       = google_iam_workload_identity_pool_provider.github.name
}

output "google_reader" {
  description = "`google-reader` of the workflow."
  value       = google_service_account.reader.email
}

output "google_writer" {
  description = "`google-writer` of the workflow."
  value       = google_service_account.writer.email
}

output "prefix" {
  description = "`prefix` of the workflow, or `targetRepoPrefix` of the list."
  value       = "${var.location}-docker.pkg.dev/${var.project}/${var.repository}/"
}

output "kms_key" {
  description = "`kms-key` of the workflow, or `kmsKey` of the list; empty without a key."
  value       = var.sign ? "gcpkms://${google_kms_crypto_key.signing[0].id}/versions/${var.key_version}" : ""
}

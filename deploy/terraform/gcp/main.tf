# Two identities: the reader, which dry runs have, and the writer, which runs on a branch have. Which one a run
# gets is not what it asks for: it is bound to the event, the owner and the very workflow, which GitHub vouches
# for. So a pull request can never write, whatever it changes.

locals {
  reader_events = ["pull_request", "pull_request_target", "merge_group", "push", "schedule", "workflow_dispatch"]
  writer_events = ["push", "schedule", "workflow_dispatch"]

  # One attribute that has all of it: a principal set can name one attribute only.
  reader_runs = [for event in local.reader_events : "event:${event}:owner:${var.owner_id}:workflow:${var.workflow}"]
  writer_runs = flatten([
    for event in local.writer_events : [
      for ref in var.branch_refs : "event:${event}:owner:${var.owner_id}:workflow:${var.workflow}:ref:${ref}"
    ]
  ])
  principals = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github.name}"
}

resource "google_iam_workload_identity_pool" "github" {
  project                   = var.project
  workload_identity_pool_id = var.name
  display_name              = var.name
  description               = "Runs of the workflow of image-syncer"
}

resource "google_iam_workload_identity_pool_provider" "github" {
  #checkov:skip=CKV_GCP_125: it wants `assertion.sub`, a name; the owner's number and the workflow say more
  project                            = var.project
  workload_identity_pool_id          = google_iam_workload_identity_pool.github.workload_identity_pool_id
  workload_identity_pool_provider_id = "github"
  display_name                       = "GitHub"

  attribute_mapping = {
    # Who Google's audit logs name. Not `assertion.sub`: Google refuses one of more than 127 bytes, which a long
    # branch makes, and always what ../aws has GitHub put there (google-github-actions/auth#124).
    "google.subject"      = "\"repository:\" + assertion.repository_id + \":run:\" + assertion.run_id"
    "attribute.dry_run"   = "\"event:\" + assertion.event_name + \":owner:\" + assertion.repository_owner_id + \":workflow:\" + assertion.job_workflow_ref"
    "attribute.write_run" = "\"event:\" + assertion.event_name + \":owner:\" + assertion.repository_owner_id + \":workflow:\" + assertion.job_workflow_ref + \":ref:\" + assertion.ref"
  }
  # Nobody else's token is even looked at.
  attribute_condition = "assertion.repository_owner_id == \"${var.owner_id}\" && assertion.job_workflow_ref == \"${var.workflow}\""

  oidc {
    issuer_uri = var.issuer
  }
}

resource "google_service_account" "reader" {
  project      = var.project
  account_id   = "${var.name}-reader"
  display_name = "image-syncer, dry runs"
}

resource "google_service_account" "writer" {
  project      = var.project
  account_id   = "${var.name}-writer"
  display_name = "image-syncer, runs that write"
}

resource "google_service_account_iam_member" "reader" {
  for_each           = toset(local.reader_runs)
  service_account_id = google_service_account.reader.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "${local.principals}/attribute.dry_run/${each.value}"
}

resource "google_service_account_iam_member" "writer" {
  for_each           = toset(local.writer_runs)
  service_account_id = google_service_account.writer.name
  role               = "roles/iam.workloadIdentityUser"
  member             = "${local.principals}/attribute.write_run/${each.value}"
}

resource "google_artifact_registry_repository" "mirror" {
  #checkov:skip=CKV_GCP_84: the key is the caller's choice (repository_kms_key)
  count         = var.create_repository ? 1 : 0
  project       = var.project
  location      = var.location
  repository_id = var.repository
  description   = "Copies that image-syncer keeps"
  format        = "DOCKER"
  kms_key_name  = var.repository_kms_key

  # A tag never moves, whoever pushes. image-syncer never moves one either.
  docker_config {
    immutable_tags = true
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_artifact_registry_repository_iam_member" "reader" {
  project    = var.project
  location   = var.location
  repository = var.create_repository ? google_artifact_registry_repository.mirror[0].name : var.repository
  role       = "roles/artifactregistry.reader"
  member     = google_service_account.reader.member
}

resource "google_artifact_registry_repository_iam_member" "writer" {
  project    = var.project
  location   = var.location
  repository = var.create_repository ? google_artifact_registry_repository.mirror[0].name : var.repository
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.writer.member
}

resource "google_kms_key_ring" "signing" {
  count    = var.sign ? 1 : 0
  project  = var.project
  location = var.location
  name     = var.name
}

resource "google_kms_crypto_key" "signing" {
  #checkov:skip=CKV_GCP_43: Google rotates no asymmetric keys; a new version is made by hand
  count    = var.sign ? 1 : 0
  key_ring = google_kms_key_ring.signing[0].id
  name     = "signing"
  purpose  = "ASYMMETRIC_SIGN"

  version_template {
    algorithm        = "EC_SIGN_P256_SHA256"
    protection_level = var.key_protection_level
  }

  lifecycle {
    prevent_destroy = true
  }
}

# Of one version, which is named: to look for the newest one needs to list them, and these roles cannot.
resource "google_kms_crypto_key_iam_member" "writer_signs" {
  count         = var.sign ? 1 : 0
  crypto_key_id = google_kms_crypto_key.signing[0].id
  role          = "roles/cloudkms.signerVerifier"
  member        = google_service_account.writer.member
}

# A plan reads signatures, and verifies them with the public half.
resource "google_kms_crypto_key_iam_member" "reader_verifies" {
  count         = var.sign ? 1 : 0
  crypto_key_id = google_kms_crypto_key.signing[0].id
  role          = "roles/cloudkms.publicKeyViewer"
  member        = google_service_account.reader.member
}

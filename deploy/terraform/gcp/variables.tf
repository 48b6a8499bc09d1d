variable "project" {
  description = "The project of the identities, the repository and the key."
  type        = string
}

variable "location" {
  description = "Where the repository and the key are, such as `europe-west1`."
  type        = string
}

variable "name" {
  description = "What the names of all that is made here begin with."
  type        = string
  default     = "image-syncer"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,21}[a-z0-9]$", var.name))
    error_message = "A service account's name has 6 to 30 characters, and `-reader` follows."
  }
}

variable "repository" {
  description = "The Artifact Registry repository that is the mirror."
  type        = string
  default     = "mirror"
}

variable "create_repository" {
  description = "Whether the repository is made here."
  type        = bool
  default     = true
}

variable "repository_kms_key" {
  description = "A key that the repository is encrypted with, as `projects/…/cryptoKeys/…`; without it, Google's own."
  type        = string
  default     = null
}

variable "owner_id" {
  description = "The number of the organisation or user on GitHub whose repositories may call the workflow: `gh api users/NAME --jq .id`. A name can change hands, a number cannot."
  type        = string

  validation {
    condition     = can(regex("^[0-9]+$", var.owner_id))
    error_message = "It is a number: gh api users/NAME --jq .id"
  }
}

variable "workflow" {
  description = "The reusable workflow as callers name it, `OWNER/REPOSITORY/.github/workflows/image-syncer.yml@refs/tags/v1`: these very bytes may have the identities, and no other workflow."
  type        = string

  validation {
    condition     = can(regex("^[^/]+/[^/]+/\\.github/workflows/[^/@]+\\.ya?ml@(refs/(heads|tags)/[^ ]+|[0-9a-f]{40})$", var.workflow))
    error_message = "It is OWNER/REPOSITORY/.github/workflows/FILE@REF, with the whole ref: refs/tags/v1, refs/heads/main or a commit."
  }
}

variable "branch_refs" {
  description = "The branches of the calling repositories that may write."
  type        = list(string)
  default     = ["refs/heads/main"]

  validation {
    condition     = length(var.branch_refs) > 0 && alltrue([for ref in var.branch_refs : startswith(ref, "refs/heads/")])
    error_message = "Each is a whole ref, such as refs/heads/main."
  }
}

variable "issuer" {
  description = "Who vouches for runs: GitHub, or a GitHub Enterprise server."
  type        = string
  default     = "https://token.actions.githubusercontent.com"
}

variable "sign" {
  description = "Whether a key to sign with is made."
  type        = bool
  default     = true
}

variable "key_version" {
  description = "The version of the key that signs. Google makes the first one with the key; another is made by hand (`gcloud kms keys versions create`), and what the one before it signed is then signed by another key."
  type        = number
  default     = 1
}

variable "key_protection_level" {
  description = "Where the key is: `SOFTWARE` or `HSM`."
  type        = string
  default     = "HSM"
}

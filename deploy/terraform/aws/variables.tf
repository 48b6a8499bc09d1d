variable "name" {
  description = "What the names of all that is made here begin with."
  type        = string
  default     = "image-syncer"
}

variable "namespace" {
  description = "What the names of the ECR repositories of the mirror begin with; nothing else can be read or written."
  type        = string
  default     = "mirror"

  validation {
    condition     = can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", var.namespace))
    error_message = "It is the beginning of a repository's name, without a slash at its end."
  }
}

variable "owner_id" {
  description = "The number of the organisation or user on GitHub whose repositories may call the workflow: `gh api users/NAME --jq .id`. A name can change hands, a number cannot."
  type        = string

  validation {
    condition     = can(regex("^[0-9]+$", var.owner_id))
    error_message = "It is a number: gh api users/NAME --jq .id"
  }
}

variable "owner" {
  description = "The name of the same."
  type        = string
}

variable "workflow" {
  description = "The reusable workflow as callers name it, `OWNER/REPOSITORY/.github/workflows/image-syncer.yml@refs/tags/v1`: these very bytes may have the roles, and no other workflow."
  type        = string

  validation {
    condition     = can(regex("^[^/]+/[^/]+/\\.github/workflows/[^/@*?]+\\.ya?ml@(refs/(heads|tags)/[^ *?]+|[0-9a-f]{40})$", var.workflow))
    error_message = "It is OWNER/REPOSITORY/.github/workflows/FILE@REF, with the whole ref: refs/tags/v1, refs/heads/main or a commit."
  }
}

variable "branch_refs" {
  description = "The branches of the calling repositories that may write: three or four at most, because AWS takes no trust policy of more than 2,048 characters."
  type        = list(string)
  default     = ["refs/heads/main"]

  validation {
    condition     = length(var.branch_refs) > 0 && alltrue([for ref in var.branch_refs : startswith(ref, "refs/heads/") && !strcontains(ref, "*")])
    error_message = "Each is a whole ref, such as refs/heads/main."
  }
}

variable "create_oidc_provider" {
  description = "Whether the account gets its provider for GitHub here; an account has one at most."
  type        = bool
  default     = true
}

variable "issuer" {
  description = "Who vouches for runs, without `https://`: GitHub, or a GitHub Enterprise server."
  type        = string
  default     = "token.actions.githubusercontent.com"
}

variable "create_repositories" {
  description = "Whether the writer may make ECR repositories and look after their settings (`repositories` and `ecr` in the list)."
  type        = bool
  default     = true
}

variable "sign" {
  description = "Whether a key to sign with is made."
  type        = bool
  default     = true
}

variable "max_session_seconds" {
  description = "How long a run's credentials last at most; `aws-seconds` of the workflow is at most this."
  type        = number
  default     = 7200
}

{{/* The name of all that the chart makes. */}}
{{- define "image-syncer.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What pods are found by. */}}
{{- define "image-syncer.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "image-syncer.labels" -}}
{{ include "image-syncer.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* `metadata` of what the chart makes: of `.root`, with `.name` and `.annotations`. */}}
{{- define "image-syncer.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "image-syncer.labels" .root | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "image-syncer.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "image-syncer.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "image-syncer.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The files of the ConfigMap: the sync file and what lies beside it. */}}
{{- define "image-syncer.files" -}}
{{- $list := dict -}}
{{- range $key := list "targetRepoPrefix" "images" "charts" "repositories" "registries" "sign" "kmsKey" "formerKeys" "signatureFormat" "signRecursively" "attest" "rekorUrl" "rekorKey" "verify" "notices" "schedule" -}}
{{- $value := index $.Values $key -}}
{{- if or $value (kindIs "bool" $value) -}}
{{- $_ := set $list $key $value -}}
{{- end -}}
{{- end -}}
{{- with include "image-syncer.registries" . | fromYaml -}}
{{- $_ := set $list "registries" . -}}
{{- end -}}
{{- if not (or $list.images $list.charts $list.repositories) -}}
{{- fail "nothing is wanted: give `images`, `charts` or `repositories`" -}}
{{- end -}}
{{- if hasKey .Values.files "images.yaml" -}}
{{- fail "files: `images.yaml` is the name of the sync file itself" -}}
{{- end -}}
{{- toYaml (merge (dict "images.yaml" (printf "%s\n" (toYaml $list))) .Values.files) -}}
{{- end -}}

{{/* The first characters of the digest of all that decides what a run does. It is part of the names of
     the Job and of its ConfigMap: neither is ever changed, a change makes new ones. */}}
{{- define "image-syncer.hash" -}}
{{- $pod := include "image-syncer.jobSpec" (dict "root" . "config" "" ) -}}
{{- cat (include "image-syncer.files" .) $pod .Values.job.run | sha256sum | trunc 10 -}}
{{- end -}}

{{/* The name of the ConfigMap. */}}
{{- define "image-syncer.configName" -}}
{{- if eq .Values.mode "job" -}}
{{ include "image-syncer.fullname" . }}-{{ include "image-syncer.hash" . }}
{{- else -}}
{{ include "image-syncer.fullname" . }}
{{- end -}}
{{- end -}}

{{/* Whether there is a volume for the audit log and reports: a text that is empty or not. */}}
{{- define "image-syncer.keepsData" -}}
{{- if or .Values.auditLog.enabled .Values.reports -}}true{{- end -}}
{{- end -}}

{{/* The name of the volume's claim; empty for an emptyDir. */}}
{{- define "image-syncer.claimName" -}}
{{- if .Values.persistence.existingClaim -}}
{{ .Values.persistence.existingClaim }}
{{- else if .Values.persistence.size -}}
{{ include "image-syncer.fullname" . }}
{{- end -}}
{{- end -}}

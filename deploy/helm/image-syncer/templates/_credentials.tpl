{{/* Whether a text names a registry of ECR: `true` or nothing. */}}
{{- define "image-syncer.isEcr" -}}
{{- if regexMatch "^[0-9]{12}\\.dkr[.-]ecr(-fips)?\\.[a-z0-9-]+\\.(amazonaws\\.com(\\.cn)?|on\\.aws)" . -}}true{{- end -}}
{{- end -}}

{{/* What the pair of a side is, `registry` or `aws`: of `.root`, `.side`. */}}
{{- define "image-syncer.pairKind" -}}
{{- $pair := index .root.Values .side -}}
{{- if ne $pair.kind "auto" -}}
{{- $pair.kind -}}
{{- else -}}
{{- $places := list -}}
{{- range .root.Values.images -}}
{{- if eq $.side "source" -}}
{{- $places = append $places .source -}}
{{- else -}}
{{- $own := .destination | default .target | default $.root.Values.targetRepoPrefix -}}
{{- $places = concat $places (kindIs "slice" $own | ternary $own (list $own)) -}}
{{- end -}}
{{- end -}}
{{- $found := list "aws" -}}
{{- range $places -}}
{{- if not (include "image-syncer.isEcr" .) -}}{{- $found = list "registry" -}}{{- end -}}
{{- end -}}
{{- if not $places -}}{{- $found = list (ternary "aws" "registry" (eq $.side "destination")) -}}{{- end -}}
{{- first $found -}}
{{- end -}}
{{- end -}}

{{/* The name of the Secret of a side's pair; empty where there is none: of `.root`, `.side`. */}}
{{- define "image-syncer.pairSecret" -}}
{{- $pair := index .root.Values .side -}}
{{- if $pair.secretName -}}
{{ $pair.secretName }}
{{- else if $pair.access_key -}}
{{ include "image-syncer.fullname" .root }}-{{ .side }}
{{- end -}}
{{- end -}}

{{/* The variables of both pairs. Passwords are files, which are read anew when a Secret is rotated. */}}
{{- define "image-syncer.pairEnv" -}}
{{- $aws := list -}}
{{- range $side, $variable := dict "source" "SOURCE" "destination" "TARGET" }}
{{- $secret := include "image-syncer.pairSecret" (dict "root" $ "side" $side) }}
{{- if $secret }}
{{- $keys := (index $.Values $side).keys }}
{{- if eq (include "image-syncer.pairKind" (dict "root" $ "side" $side)) "aws" }}
{{- $aws = append $aws $side }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: {{ $keys.access_key }} } }
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: {{ $keys.access_secret }} } }
{{- else }}
- name: SYNCER_{{ $variable }}_USERNAME
  valueFrom: { secretKeyRef: { name: {{ $secret }}, key: {{ $keys.access_key }} } }
- name: SYNCER_{{ $variable }}_PASSWORD_FILE
  value: /run/secrets/image-syncer/{{ $side }}/{{ $keys.access_secret }}
{{- end }}
{{- end }}
{{- end }}
{{- if gt (len $aws) 1 }}
{{- fail "source and destination are both AWS access keys, and a program has one: give one side its own identity by `registries.HOST.auth`, or say `kind: registry`" }}
{{- end }}
{{- end -}}

{{/* All variables. */}}
{{- define "image-syncer.env" -}}
{{- include "image-syncer.pairEnv" . }}
{{- range $name, $value := .Values.settings }}
{{- if not (kindIs "invalid" $value) }}
- name: SYNCER_{{ $name | snakecase | upper }}
  value: {{ (kindIs "float64" $value | ternary (int64 $value) $value) | toString | quote }}
{{- end }}
{{- end }}
{{- with .Values.dockerConfig.secretName }}
- name: DOCKER_CONFIG
  value: /run/secrets/image-syncer/docker
{{- end }}
{{- if .Values.targetRepoAuthKey.secretName }}
- name: SYNCER_TARGET_REPO_AUTH_KEY
  value: /run/secrets/image-syncer/target-repo-auth-key/{{ .Values.targetRepoAuthKey.key }}
{{- end }}
{{- with .Values.accessToken }}
{{- if .secretName }}
- name: SYNCER_ACCESS_TOKEN
  valueFrom: { secretKeyRef: { name: {{ .secretName }}, key: {{ .key }} } }
{{- end }}
{{- end }}
{{- with .Values.signingKey }}
{{- if .secretName }}
- name: SYNCER_KMS_KEY
  value: /run/secrets/image-syncer/signing-key/{{ .key }}
- name: COSIGN_PASSWORD
  valueFrom: { secretKeyRef: { name: {{ .secretName }}, key: {{ .passwordKey }}, optional: true } }
{{- end }}
{{- end }}
{{- with .Values.caBundle }}
{{- if or .existingConfigMap .existingSecret .inline }}
{{- if eq .mode "replace" }}
- name: SSL_CERT_FILE
  value: /etc/image-syncer-ca/{{ .key }}
{{- else }}
- name: SSL_CERT_FILE
  value: /etc/ssl/certs/ca-certificates.crt
- name: SSL_CERT_DIR
  value: /etc/image-syncer-ca
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* All volumes, each with where it is mounted: a list of `{volume, mount}`. */}}
{{- define "image-syncer.mounts" -}}
- volume: { name: list, configMap: { name: {{ .config | quote }} } }
  mountPath: /etc/image-syncer
- volume: { name: tmp, emptyDir: {} }
  mountPath: /tmp
{{- range $side := list "source" "destination" }}
{{- $secret := include "image-syncer.pairSecret" (dict "root" $.root "side" $side) }}
{{- if and $secret (eq (include "image-syncer.pairKind" (dict "root" $.root "side" $side)) "registry") }}
- volume: { name: {{ $side }}, secret: { secretName: {{ $secret }}, defaultMode: 0440 } }
  mountPath: /run/secrets/image-syncer/{{ $side }}
{{- end }}
{{- end }}
{{- with .root.Values }}
{{- with .dockerConfig.secretName }}
- volume:
    name: docker
    secret: { secretName: {{ . }}, defaultMode: 0440, items: [{ key: .dockerconfigjson, path: config.json }] }
  mountPath: /run/secrets/image-syncer/docker
{{- end }}
{{- range $name, $secret := dict "target-repo-auth-key" .targetRepoAuthKey.secretName "signing-key" .signingKey.secretName }}
{{- with $secret }}
- volume: { name: {{ $name }}, secret: { secretName: {{ . }}, defaultMode: 0440 } }
  mountPath: /run/secrets/image-syncer/{{ $name }}
{{- end }}
{{- end }}
{{- with .caBundle }}
{{- if .existingSecret }}
- volume: { name: ca, secret: { secretName: {{ .existingSecret }} } }
  mountPath: /etc/image-syncer-ca
{{- else if or .existingConfigMap .inline }}
- volume: { name: ca, configMap: { name: {{ .existingConfigMap | default (printf "%s-ca" (include "image-syncer.fullname" $.root)) }} } }
  mountPath: /etc/image-syncer-ca
{{- end }}
{{- end }}
{{- range .secretProviderClasses }}
- volume:
    name: {{ .name }}
    csi: { driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: { secretProviderClass: {{ .name }} } }
  mountPath: /mnt/secrets/{{ .name }}
{{- end }}
{{- if and (eq .mode "watch") .watch.webhook.secretName }}
- volume: { name: webhook, secret: { secretName: {{ .watch.webhook.secretName }}, defaultMode: 0440 } }
  mountPath: /run/secrets/image-syncer/webhook
{{- end }}
{{- if include "image-syncer.keepsData" $.root }}
{{- $claim := include "image-syncer.claimName" $.root }}
- volume:
    name: data
    {{- if $claim }}
    persistentVolumeClaim: { claimName: {{ $claim }} }
    {{- else }}
    emptyDir: {}
    {{- end }}
  mountPath: /var/lib/image-syncer
  writable: true
{{- end }}
{{- end }}
{{- end -}}

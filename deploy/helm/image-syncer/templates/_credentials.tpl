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

{{/* Whether both pairs are AWS access keys: `true` or nothing. A program has one for itself, which is the
     destination's. */}}
{{- define "image-syncer.areKeys" -}}
{{- $both := true -}}
{{- range $side := list "source" "destination" -}}
{{- $of := dict "root" $ "side" $side -}}
{{- if or (not (include "image-syncer.pairSecret" $of)) (ne (include "image-syncer.pairKind" $of) "aws") -}}
{{- $both = false -}}
{{- end -}}
{{- end -}}
{{- if $both -}}true{{- end -}}
{{- end -}}

{{/* The same, and they are two: the source's is then given for the registries of the sources alone. */}}
{{- define "image-syncer.hasTwoKeys" -}}
{{- $secrets := list -}}
{{- range $side := list "source" "destination" -}}
{{- $secrets = append $secrets (dict "name" (include "image-syncer.pairSecret" (dict "root" $ "side" $side)) "keys" (index $.Values $side).keys) -}}
{{- end -}}
{{- if and (include "image-syncer.areKeys" .) (ne (first $secrets | toYaml) (last $secrets | toYaml)) -}}true{{- end -}}
{{- end -}}

{{/* The host of what an image names. */}}
{{- define "image-syncer.host" -}}
{{- . | trimPrefix "oci://" | splitList "/" | first -}}
{{- end -}}

{{/* `registries`, with the source's key for the registries of the sources where it is not the program's. */}}
{{- define "image-syncer.registries" -}}
{{- $said := .Values.registries | default dict -}}
{{- $made := deepCopy $said -}}
{{- if include "image-syncer.hasTwoKeys" . -}}
{{- $keys := .Values.source.keys -}}
{{- $folder := "/run/secrets/image-syncer/source" -}}
{{- $key := dict "accessKeyId" (dict "file" (printf "%s/%s" $folder $keys.access_key)) "secretAccessKey" (dict "file" (printf "%s/%s" $folder $keys.access_secret)) -}}
{{- $targets := list -}}
{{- range .Values.images -}}
{{- $own := .destination | default .target | default $.Values.targetRepoPrefix -}}
{{- range (kindIs "slice" $own | ternary $own (list $own)) -}}
{{- $targets = append $targets (include "image-syncer.host" .) -}}
{{- end -}}
{{- end -}}
{{- $used := false -}}
{{- range concat (.Values.images | default list) (.Values.charts | default list) -}}
{{- $host := include "image-syncer.host" (.source | default "") -}}
{{- if and (include "image-syncer.isEcr" $host) (not (hasKey (index $said $host | default dict) "auth")) -}}
{{- if has $host $targets -}}
{{- fail (printf "source and destination are both AWS access keys, and `%s` is on both sides: a registry has one, so let `source` or `destination` go and have one key that may read and write there" $host) -}}
{{- end -}}
{{- $_ := set $made $host (merge (dict "auth" (dict "aws" $key)) (index $said $host | default dict)) -}}
{{- $used = true -}}
{{- end -}}
{{- end -}}
{{- if not $used -}}
{{- fail "source and destination are both AWS access keys, and no image comes from a registry in ECR that `registries` has no `auth` for: the source's key is for nothing; if it is a user and a password, say `source.kind: registry`" -}}
{{- end -}}
{{- end -}}
{{- toYaml $made -}}
{{- end -}}

{{/* The variables of both pairs. Passwords are files, which are read anew when a Secret is rotated. */}}
{{- define "image-syncer.pairEnv" -}}
{{- range $side, $variable := dict "source" "SOURCE" "destination" "TARGET" }}
{{- $secret := include "image-syncer.pairSecret" (dict "root" $ "side" $side) }}
{{- if $secret }}
{{- $keys := (index $.Values $side).keys }}
{{- $isAws := eq (include "image-syncer.pairKind" (dict "root" $ "side" $side)) "aws" }}
{{- if and $isAws (eq $side "source") (include "image-syncer.areKeys" $) }}
{{- else if $isAws }}
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
{{- $isFile := or (eq (include "image-syncer.pairKind" (dict "root" $.root "side" $side)) "registry") (and (eq $side "source") (include "image-syncer.hasTwoKeys" $.root)) }}
{{- if and $secret $isFile }}
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

{{/* The arguments of the program. */}}
{{- define "image-syncer.args" -}}
{{- $v := .Values -}}
{{- $index := ternary "-$(JOB_COMPLETION_INDEX)" "" (gt (int $v.shards) 1) -}}
- {{ ternary "watch" "sync" (eq $v.mode "watch") }}
- --images-file=/etc/image-syncer/images.yaml
{{- if gt (int $v.shards) 1 }}
- --shard=$(JOB_COMPLETION_INDEX)/{{ int $v.shards }}
{{- end }}
{{- if eq $v.mode "watch" }}
{{- with $v.watch.interval }}
- --interval={{ . }}
{{- end }}
{{- with $v.watch.cron }}
- --cron={{ . }}
{{- end }}
- --listen={{ $v.watch.address }}:{{ int $v.watch.port }}
{{- if $v.watch.webhook.secretName }}
- --webhook-secret-file=/run/secrets/image-syncer/webhook/{{ $v.watch.webhook.key }}
{{- end }}
{{- if gt (int $v.watch.replicas) 1 }}
- --lease={{ .Release.Namespace }}/{{ include "image-syncer.fullname" . }}
{{- end }}
{{- else }}
{{- with $v.metrics.push }}
- --metrics-push={{ . }}
{{- end }}
{{- end }}
{{- range $v.reports }}
- --report={{ . }}=/var/lib/image-syncer/report{{ $index }}.{{ get (dict "junit" "xml" "markdown" "md") . | default . }}
{{- end }}
{{- if $v.auditLog.enabled }}
- --audit-log=/var/lib/image-syncer/audit{{ $index }}.jsonl
{{- with $v.auditLog.key }}
- --audit-key={{ . }}
{{- end }}
{{- with $v.auditLog.push }}
- --audit-push={{ . }}
{{- end }}
{{- end }}
{{- with $v.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The pod: of `.root`, `.config` (the name of the ConfigMap), `.annotations`, `.restartPolicy`. */}}
{{- define "image-syncer.pod" -}}
{{- $v := .root.Values -}}
{{- $isWatch := eq $v.mode "watch" -}}
{{- $mounts := include "image-syncer.mounts" . | fromYamlArray -}}
metadata:
  labels:
    {{- include "image-syncer.selectorLabels" .root | nindent 4 }}
    {{- if eq $v.workloadIdentity.provider "azure" }}
    azure.workload.identity/use: "true"
    {{- end }}
    {{- with merge (dict) $v.podLabels $v.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with merge (dict) (.annotations | default dict) $v.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "image-syncer.serviceAccountName" .root }}
  automountServiceAccountToken: {{ and $isWatch (gt (int $v.watch.replicas) 1) }}
  enableServiceLinks: false
  restartPolicy: {{ .restartPolicy }}
  terminationGracePeriodSeconds: {{ int $v.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml $v.podSecurityContext | nindent 4 }}
  {{- with $v.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
  - name: image-syncer
    image: {{ include "image-syncer.image" .root | quote }}
    imagePullPolicy: {{ $v.image.pullPolicy }}
    args:
      {{- include "image-syncer.args" .root | nindent 6 }}
    {{- with include "image-syncer.env" .root | trim }}
    env:
      {{- . | nindent 6 }}
    {{- end }}
    {{- with $v.envFrom }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- if $isWatch }}
    ports:
    - { name: http, containerPort: {{ int $v.watch.port }} }
    livenessProbe:
      httpGet: { path: /healthz, port: http }
      periodSeconds: 20
      timeoutSeconds: 5
    readinessProbe:
      httpGet: { path: /readyz, port: http }
      periodSeconds: 10
      timeoutSeconds: 5
    {{- end }}
    resources:
      {{- toYaml $v.resources | nindent 6 }}
    securityContext:
      {{- toYaml $v.securityContext | nindent 6 }}
    volumeMounts:
    {{- range $mounts }}
    - name: {{ .volume.name }}
      mountPath: {{ .mountPath }}
      {{- if not (or .writable (hasKey .volume "emptyDir")) }}
      readOnly: true
      {{- end }}
    {{- end }}
    {{- with $v.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
  {{- range $mounts }}
  {{- toYaml (list .volume) | nindent 2 }}
  {{- end }}
  {{- with $v.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName" "hostAliases" }}
  {{- with index $v $key }}
  {{ $key }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end -}}

{{/* The Job: of `.root`, `.config`. What another try cannot help ends it: a wrong list or setting (2),
     drift (3), a refused login (4) or image (5). A pod that its node lost does not count as a try. */}}
{{- define "image-syncer.jobSpec" -}}
{{- $v := .root.Values -}}
{{- $shards := int $v.shards -}}
{{- if gt $shards 1 }}
completionMode: Indexed
completions: {{ $shards }}
parallelism: {{ $shards }}
backoffLimitPerIndex: {{ int $v.job.backoffLimit }}
{{- else }}
backoffLimit: {{ int $v.job.backoffLimit }}
{{- end }}
{{- with $v.job.activeDeadlineSeconds }}
activeDeadlineSeconds: {{ int . }}
{{- end }}
{{- if not (kindIs "invalid" $v.job.ttlSecondsAfterFinished) }}
ttlSecondsAfterFinished: {{ int $v.job.ttlSecondsAfterFinished }}
{{- end }}
podFailurePolicy:
  rules:
  - action: Ignore
    onPodConditions: [{ type: DisruptionTarget, status: "True" }]
  - action: {{ ternary "FailIndex" "FailJob" (gt $shards 1) }}
    onExitCodes: { containerName: image-syncer, operator: In, values: [2, 3, 4, 5] }
template:
  {{- include "image-syncer.pod" (merge (dict "restartPolicy" "Never") .) | nindent 2 }}
{{- end -}}

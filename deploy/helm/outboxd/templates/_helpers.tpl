{{- define "outboxd.fullname" -}}
{{- $name := ternary .Release.Name (printf "%s-outboxd" .Release.Name) (contains "outboxd" .Release.Name) -}}
{{- .Values.fullnameOverride | default $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "outboxd.outbox" -}}
{{- .Values.outbox | default .Release.Name -}}
{{- end -}}

{{- define "outboxd.selectorLabels" -}}
app.kubernetes.io/name: outboxd
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "outboxd.labels" -}}
{{ include "outboxd.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "outboxd.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Pod Security Standard "restricted". */}}
{{- define "outboxd.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "outboxd.securityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Every number of values.yaml is a float64 here, and 1000000 would be written as 1e+06. */}}
{{- define "outboxd.settings" -}}
{{- $env := list -}}
{{- range $name, $value := .Values.settings -}}
{{- if kindIs "float64" $value -}}
{{- $value = printf "%.0f" $value -}}
{{- end -}}
{{- $env = append $env (dict "name" $name "value" (toString $value)) -}}
{{- end -}}
{{- with concat $env .Values.extraEnv -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/* outboxd.program: what all containers share. */}}
{{- define "outboxd.program" -}}
image: {{ include "outboxd.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- include "outboxd.securityContext" . | nindent 2 }}
volumeMounts:
  - {name: outboxd-secrets, mountPath: /run/secrets/outboxd, readOnly: true}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* outboxd.urls: files, not variables: a rotated Secret is read with the next connect, without a restart. */}}
{{- define "outboxd.urls" -}}
- {name: OUTBOX_DATABASE_URL_FILE, value: /run/secrets/outboxd/database-url}
- {name: OUTBOX_AMQP_URL_FILE, value: /run/secrets/outboxd/amqp-url}
{{- end -}}

{{/* outboxd.secretVolume (dict "secret" NAME "keys" LIST "values" .Values) */}}
{{- define "outboxd.secretVolume" -}}
- name: outboxd-secrets
  secret:
    secretName: {{ required "existingSecret: the name of a Secret with the keys database-url and amqp-url" .secret }}
    items:
      {{- range .keys }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
{{- with .values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

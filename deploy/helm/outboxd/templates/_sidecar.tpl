{{/*
For the chart of a service that has this one as a dependency, with deployment.enabled=false. In its pod template:

  metadata:
    labels:
      {{- include "outboxd.podLabels" .Subcharts.outboxd | nindent 8 }}
  spec:
    initContainers:
      {{- include "outboxd.sidecar" .Subcharts.outboxd | nindent 8 }}
    volumes:
      {{- include "outboxd.volumes" .Subcharts.outboxd | nindent 8 }}

Before Kubernetes 1.29: "outboxd.classicSidecar" under containers.
*/}}

{{- define "outboxd.podLabels" -}}
outboxd/outbox: {{ include "outboxd.outbox" . }}
{{- end -}}

{{- define "outboxd.sidecar" -}}
{{- if semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version -}}
{{- fail "outboxd.sidecar needs Kubernetes 1.29; use outboxd.classicSidecar under containers" -}}
{{- end -}}
- name: outboxd
  restartPolicy: Always
  {{- include "outboxd.relay" . | nindent 2 }}
{{- end -}}

{{- define "outboxd.classicSidecar" -}}
- name: outboxd
  {{- include "outboxd.relay" . | nindent 2 }}
  # Both containers are told to end at the same time: the service's last rows are still sent from here.
  lifecycle:
    preStop: {exec: {command: [sleep, "5"]}}
{{- end -}}

{{- define "outboxd.volumes" -}}
{{- include "outboxd.secretVolume" (dict "secret" .Values.existingSecret "keys" (list "database-url" "amqp-url") "values" .Values) -}}
{{- end -}}

{{/*
The container that relays. No readinessProbe here: beside a service it would take every replica of the service out of
its Service while the broker is away. The Deployment, which serves nobody, adds one.
*/}}
{{- define "outboxd.relay" -}}
args: [run]
env:
  - name: POD_NAME
    valueFrom: {fieldRef: {fieldPath: metadata.name}}
  - {name: OUTBOX_HTTP_LISTEN, value: {{ printf "%s:%v" .Values.listen.address .Values.listen.port | quote }}}
  {{- include "outboxd.urls" . | nindent 2 }}
  {{- with include "outboxd.settings" . }}{{ . | nindent 2 }}{{ end }}
ports:
  - {name: outbox-metrics, containerPort: {{ .Values.listen.port }}}
startupProbe:
  httpGet: {path: /startupz, port: outbox-metrics}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: outbox-metrics}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{ include "outboxd.program" . }}
{{- end -}}

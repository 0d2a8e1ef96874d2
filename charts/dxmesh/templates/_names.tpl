{{/* Names and labels. Each takes a dict: root (the chart's context) and component. */}}

{{- define "dxmesh.fullname" -}}
{{ .Values.fullnameOverride | default .Release.Name }}
{{- end }}

{{- define "dxmesh.name" -}}
{{ include "dxmesh.fullname" .root }}-{{ .component }}
{{- end }}

{{/* What selects the pods of a component; never changed after the first install. */}}
{{- define "dxmesh.selector" -}}
app.kubernetes.io/name: dxmesh
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "dxmesh.labels" -}}
{{ include "dxmesh.selector" . }}
app.kubernetes.io/part-of: dxmesh
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* An image by digest where one is given, else by tag: repository, tag, digest, root. */}}
{{- define "dxmesh.image" -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default .root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* Address clients reach the gateway under, or nothing. */}}
{{- define "dxmesh.publicUrl" -}}
{{- if .Values.services.gateway.publicUrl -}}
{{ .Values.services.gateway.publicUrl }}
{{- else if .Values.ingress.enabled -}}
https://{{ .Values.ingress.host }}
{{- end }}
{{- end }}

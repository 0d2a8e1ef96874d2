{{/* Peers of network policies. */}}

{{/* One peer of values.yaml: a cidr, or pods by namespace and labels. */}}
{{- define "dxmesh.peer" -}}
{{- if .cidr -}}
- ipBlock: {cidr: {{ .cidr }}}
{{- else -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .namespace }}}
  {{- with .podLabels }}
  podSelector:
    matchLabels:
      {{- toYaml . | nindent 6 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Pods of one component of this release: root, component. */}}
{{- define "dxmesh.pods" -}}
- podSelector:
    matchLabels:
      {{- include "dxmesh.selector" . | nindent 6 }}
{{- end }}

{{/* Egress to peers of values.yaml, each with its port. */}}
{{- define "dxmesh.egress" -}}
{{- range . }}
- to:
    {{- include "dxmesh.peer" . | nindent 4 }}
  ports:
    - {protocol: TCP, port: {{ .port }}}
{{- end }}
{{- end }}

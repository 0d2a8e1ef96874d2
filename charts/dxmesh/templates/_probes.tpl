{{/*
Health is asked over mutual TLS by the pod itself (services/kernel/probe.py), since the gRPC probe
of Kubernetes speaks no TLS. A service is up before its database or its peers are: no probe fails
because something else is away. The bus and its streams alone are waited for, ten minutes at most.
*/}}
{{- define "dxmesh.probes" -}}
{{- $ask := list "python" "-m" "services.kernel.probe" .name | toJson }}
startupProbe:
  exec: {command: {{ $ask }}}
  periodSeconds: 5
  timeoutSeconds: 10
  failureThreshold: 120
readinessProbe:
  {{- if eq .name "gateway" }}
  {{- include "dxmesh.httpProbe" . | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 3
  {{- else }}
  exec: {command: {{ $ask }}}
  periodSeconds: 20
  timeoutSeconds: 10
  {{- end }}
  failureThreshold: 2
livenessProbe:
  {{- if eq .name "gateway" }}
  {{- include "dxmesh.httpProbe" . | nindent 2 }}
  {{- else }}
  exec: {command: {{ $ask }}}
  {{- end }}
  periodSeconds: 60
  timeoutSeconds: 15
  failureThreshold: 3
{{- end }}

{{- define "dxmesh.httpProbe" -}}
httpGet:
  path: /healthz
  port: http
  scheme: {{ ternary "HTTPS" "HTTP" (ne .service.httpTlsSecret "") }}
{{- end }}

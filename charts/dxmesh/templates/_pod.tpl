{{/* What every pod has in common: who it runs as, where it lands. */}}

{{- define "dxmesh.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .user }}
runAsGroup: {{ .user }}
fsGroup: {{ .user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "dxmesh.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "dxmesh.spread" -}}
- maxSkew: 1
  topologyKey: {{ .root.Values.spread.topologyKey }}
  whenUnsatisfiable: {{ .root.Values.spread.whenUnsatisfiable }}
  labelSelector:
    matchLabels:
      {{- include "dxmesh.selector" . | nindent 6 }}
{{- end }}

{{/* The model repository: an init container that copies it, or nothing when a claim holds it. */}}
{{- define "dxmesh.modelsCopy" -}}
- name: models
  image: {{ include "dxmesh.image" (merge (dict "root" .) .Values.models.image) }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command: [cp, -R, /models/., /repository/]
  resources:
    requests: {cpu: 50m, memory: 32Mi}
    limits: {cpu: 500m, memory: 128Mi}
  securityContext:
    {{- include "dxmesh.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - {name: models, mountPath: /repository}
{{- end }}

{{- define "dxmesh.modelsVolume" -}}
- name: models
  {{- if .Values.models.claim }}
  persistentVolumeClaim:
    claimName: {{ .Values.models.claim }}
    readOnly: true
  {{- else }}
  emptyDir:
    sizeLimit: {{ .Values.models.size }}
  {{- end }}
{{- end }}

{{/*
What one service's container is given: environment, mounts, volumes. Each takes a dict: root,
name, service (its values) and fact (its entry in files/mesh.yaml).
*/}}

{{- define "dxmesh.env" -}}
{{- $values := .root.Values }}
{{- $own := printf "DX_%s" (upper .name) }}
- {name: DX_GRPC_LISTEN, value: "0.0.0.0:50051"}
- {name: DX_TLS_DIR, value: /etc/dxmesh/tls}
- {name: DX_NATS_URL, value: {{ $values.nats.url | quote }}}
- {name: DX_NATS_SEED_FILE, value: /etc/dxmesh/nats/seed}
- {name: DX_NATS_REPLICAS, value: {{ $values.nats.replicas | quote }}}
- {name: DX_DRAIN_S, value: {{ .service.drainSeconds | quote }}}
- {name: DX_LOG_LEVEL, value: {{ $values.logLevel | quote }}}
{{- with $values.telemetry.endpoint }}
- {name: DX_OTLP_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- range $zone := .fact.blobs }}
- {name: DX_BLOBS_{{ upper $zone }}_URL, value: {{ (index $values.blobs $zone).url | quote }}}
- {name: DX_MASTER_KEY_{{ upper $zone }}_FILE, value: /etc/dxmesh/keys/{{ $zone }}/master.key}
{{- end }}
{{- if .fact.database }}
- name: {{ $own }}_DATABASE_URL
  valueFrom:
    secretKeyRef: {name: {{ .service.databaseSecret }}, key: url}
- {name: PGSSLMODE, value: {{ $values.database.sslMode }}}
{{- end }}
{{- range $peer := concat .fact.calls .fact.checks }}
- {name: {{ $own }}_{{ upper $peer }}_ADDRESS, value: "{{ include "dxmesh.name" (dict "root" $.root "component" $peer) }}:50051"}
{{- end }}
{{- if eq .name "gateway" }}
- {name: DX_GATEWAY_HTTP_LISTEN, value: "0.0.0.0:8080"}
- {name: DX_GATEWAY_ACCOUNTS_FILE, value: /etc/dxmesh/accounts/accounts.toml}
{{- with include "dxmesh.publicUrl" .root }}
- {name: DX_GATEWAY_PUBLIC_URL, value: {{ . | quote }}}
{{- end }}
{{- if .service.httpTlsSecret }}
- {name: DX_GATEWAY_HTTP_TLS_DIR, value: /etc/dxmesh/http-tls}
{{- end }}
{{- with $values.trust }}
{{- if .configMap }}
- {name: DX_GATEWAY_OUTBOUND_CA_FILE, value: /etc/dxmesh/trust/{{ .key }}}
{{- end }}
{{- end }}
{{- if .service.ehrSecret }}
- {name: DX_GATEWAY_EHR_FILE, value: /etc/dxmesh/ehr/ehr.toml}
{{- end }}
{{- if .service.cdsClientsSecret }}
- {name: DX_GATEWAY_CDS_CLIENTS_FILE, value: /etc/dxmesh/cds-clients/cds-clients.toml}
{{- end }}
{{- end }}
{{- if and (eq .name "ingest") $values.dicom.devicesSecret }}
- {name: DX_INGEST_DIMSE_PORT, value: "11112"}
- {name: DX_INGEST_DIMSE_HOST, value: 0.0.0.0}
- {name: DX_INGEST_DIMSE_TITLE, value: {{ $values.dicom.title | quote }}}
- {name: DX_INGEST_DIMSE_DEVICES_FILE, value: /etc/dxmesh/dicom/devices.toml}
{{- if $values.dicom.tlsSecret }}
- {name: DX_INGEST_DIMSE_CERTIFICATE_FILE, value: /etc/dxmesh/dicom-tls/tls.crt}
- {name: DX_INGEST_DIMSE_KEY_FILE, value: /etc/dxmesh/dicom-tls/tls.key}
{{- if $values.dicom.askForCertificates }}
- {name: DX_INGEST_DIMSE_CLIENT_CA_FILE, value: /etc/dxmesh/dicom-tls/ca.crt}
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq .name "ingest") $values.hl7.sendersSecret }}
- {name: DX_INGEST_MLLP_PORT, value: "2575"}
- {name: DX_INGEST_MLLP_HOST, value: 0.0.0.0}
- {name: DX_INGEST_MLLP_SENDERS_FILE, value: /etc/dxmesh/hl7/senders.toml}
{{- if $values.hl7.tlsSecret }}
- {name: DX_INGEST_MLLP_CERTIFICATE_FILE, value: /etc/dxmesh/hl7-tls/tls.crt}
- {name: DX_INGEST_MLLP_KEY_FILE, value: /etc/dxmesh/hl7-tls/tls.key}
{{- if $values.hl7.askForCertificates }}
- {name: DX_INGEST_MLLP_CLIENT_CA_FILE, value: /etc/dxmesh/hl7-tls/ca.crt}
{{- end }}
{{- end }}
{{- end }}
{{- if and (eq .name "labs") .service.criticalLimitsConfigMap }}
- {name: DX_LABS_CRITICAL_LIMITS_DIR, value: /etc/dxmesh/critical-limits}
{{- end }}
{{- if and (eq .name "labs") .service.rangesConfigMap }}
- {name: DX_LABS_RANGES_DIR, value: /etc/dxmesh/ranges}
{{- end }}
{{- if and (has .name (list "labs" "anonymization")) $values.services.labs.codeMappingsConfigMap }}
- {name: DX_{{ upper .name }}_{{ ternary "MAPPINGS" "CODE_MAPPINGS" (eq .name "labs") }}_DIR, value: /etc/dxmesh/code-mappings}
{{- end }}
{{- if eq .name "imaging" }}
- {name: DX_IMAGING_MODEL_REPOSITORY, value: /models}
{{- if .service.routingConfigMap }}
- {name: DX_IMAGING_ROUTING_DIR, value: /etc/dxmesh/routing}
{{- end }}
{{- if $values.triton.enabled }}
- {name: DX_IMAGING_TRITON_URL, value: "{{ include "dxmesh.name" (dict "root" .root "component" "triton") }}:8001"}
- {name: DX_IMAGING_TRITON_SHARED_MEMORY, value: "false"}
{{- end }}
{{- end }}
{{- range $setting, $value := .service.settings }}
- {name: {{ $own }}_{{ upper $setting }}, value: {{ if kindIs "string" $value }}{{ $value | quote }}{{ else }}{{ $value | toJson | quote }}{{ end }}}
{{- end }}
{{- include "dxmesh.outsideEnv" . }}
{{- end }}

{{/* What libraries read: trust, object storage, threads. */}}
{{- define "dxmesh.outsideEnv" -}}
{{- $values := .root.Values }}
{{- $authority := ternary (printf "/etc/dxmesh/trust/%s" $values.trust.key) "/etc/dxmesh/tls/ca.crt" (ne $values.trust.configMap "") }}
- {name: SSL_CERT_FILE, value: {{ $authority }}}
{{- if .fact.database }}
- {name: PGSSLROOTCERT, value: {{ $authority }}}
{{- end }}
{{- if hasPrefix "https:" $values.telemetry.endpoint }}
- {name: OTEL_EXPORTER_OTLP_CERTIFICATE, value: {{ $authority }}}
{{- end }}
{{- if include "dxmesh.usesObjectStorage" . }}
- {name: AWS_REGION, value: {{ $values.blobs.region | quote }}}
{{- with $values.blobs.endpoint }}
- {name: AWS_ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
{{- if $values.blobs.allowHttp }}
- {name: AWS_ALLOW_HTTP, value: "true"}
{{- end }}
{{- with (index $values.blobs .fact.zone).credentialsSecret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: access-key-id}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: secret-access-key}
{{- end }}
{{- end }}
- {name: OMP_NUM_THREADS, value: "1"}
{{- end }}

{{- define "dxmesh.usesObjectStorage" -}}
{{- range $zone := .fact.blobs }}
{{- if hasPrefix "s3:" (index $.root.Values.blobs $zone).url }}true{{ end }}
{{- end }}
{{- end }}

{{- define "dxmesh.mounts" -}}
{{- $values := .root.Values }}
- {name: scratch, mountPath: /tmp}
- {name: tls, mountPath: /etc/dxmesh/tls, readOnly: true}
- {name: nats, mountPath: /etc/dxmesh/nats, readOnly: true}
{{- range $zone := .fact.blobs }}
- {name: master-key-{{ $zone }}, mountPath: /etc/dxmesh/keys/{{ $zone }}, readOnly: true}
{{- if (index $values.blobs $zone).claim }}
- {name: blobs-{{ $zone }}, mountPath: {{ trimPrefix "file://" (index $values.blobs $zone).url }}}
{{- end }}
{{- end }}
{{- if $values.trust.configMap }}
- {name: trust, mountPath: /etc/dxmesh/trust, readOnly: true}
{{- end }}
{{- if eq .name "gateway" }}
- {name: accounts, mountPath: /etc/dxmesh/accounts, readOnly: true}
{{- if .service.httpTlsSecret }}
- {name: http-tls, mountPath: /etc/dxmesh/http-tls, readOnly: true}
{{- end }}
{{- if .service.ehrSecret }}
- {name: ehr, mountPath: /etc/dxmesh/ehr, readOnly: true}
{{- end }}
{{- if .service.cdsClientsSecret }}
- {name: cds-clients, mountPath: /etc/dxmesh/cds-clients, readOnly: true}
{{- end }}
{{- end }}
{{- if and (eq .name "ingest") $values.dicom.devicesSecret }}
- {name: dicom, mountPath: /etc/dxmesh/dicom, readOnly: true}
{{- if $values.dicom.tlsSecret }}
- {name: dicom-tls, mountPath: /etc/dxmesh/dicom-tls, readOnly: true}
{{- end }}
{{- end }}
{{- if and (eq .name "ingest") $values.hl7.sendersSecret }}
- {name: hl7, mountPath: /etc/dxmesh/hl7, readOnly: true}
{{- if $values.hl7.tlsSecret }}
- {name: hl7-tls, mountPath: /etc/dxmesh/hl7-tls, readOnly: true}
{{- end }}
{{- end }}
{{- if and (eq .name "labs") .service.criticalLimitsConfigMap }}
- {name: critical-limits, mountPath: /etc/dxmesh/critical-limits, readOnly: true}
{{- end }}
{{- if and (eq .name "labs") .service.rangesConfigMap }}
- {name: ranges, mountPath: /etc/dxmesh/ranges, readOnly: true}
{{- end }}
{{- if and (has .name (list "labs" "anonymization")) $values.services.labs.codeMappingsConfigMap }}
- {name: code-mappings, mountPath: /etc/dxmesh/code-mappings, readOnly: true}
{{- end }}
{{- if eq .name "imaging" }}
- {name: models, mountPath: /models, readOnly: true}
{{- if .service.routingConfigMap }}
- {name: routing, mountPath: /etc/dxmesh/routing, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{- define "dxmesh.volumes" -}}
{{- $values := .root.Values }}
- name: scratch
  emptyDir: {sizeLimit: {{ .service.scratch }}}
- name: tls
  secret: {secretName: {{ .service.tlsSecret }}, defaultMode: 0440}
- name: nats
  secret: {secretName: {{ .service.natsSecret }}, defaultMode: 0440}
{{- range $zone := .fact.blobs }}
- name: master-key-{{ $zone }}
  secret: {secretName: {{ index $values.masterKeys $zone }}, defaultMode: 0440}
{{- with (index $values.blobs $zone).claim }}
- name: blobs-{{ $zone }}
  persistentVolumeClaim: {claimName: {{ . }}}
{{- end }}
{{- end }}
{{- with $values.trust.configMap }}
- name: trust
  configMap: {name: {{ . }}}
{{- end }}
{{- if eq .name "gateway" }}
- name: accounts
  secret: {secretName: {{ .service.accountsSecret }}, defaultMode: 0440}
{{- with .service.httpTlsSecret }}
- name: http-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .service.ehrSecret }}
- name: ehr
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .service.cdsClientsSecret }}
- name: cds-clients
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- if eq .name "ingest" }}
{{- with $values.dicom.devicesSecret }}
- name: dicom
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- with $values.dicom.tlsSecret }}
- name: dicom-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- with $values.hl7.sendersSecret }}
- name: hl7
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- with $values.hl7.tlsSecret }}
- name: hl7-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end }}
{{- if eq .name "labs" }}
{{- with .service.criticalLimitsConfigMap }}
- name: critical-limits
  configMap: {name: {{ . }}}
{{- end }}
{{- with .service.rangesConfigMap }}
- name: ranges
  configMap: {name: {{ . }}}
{{- end }}
{{- end }}
{{- if has .name (list "labs" "anonymization") }}
{{- with $values.services.labs.codeMappingsConfigMap }}
- name: code-mappings
  configMap: {name: {{ . }}}
{{- end }}
{{- end }}
{{- if eq .name "imaging" }}
{{ include "dxmesh.modelsVolume" .root }}
{{- with .service.routingConfigMap }}
- name: routing
  configMap: {name: {{ . }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "fmesh.namespace" -}}
{{ .Values.installation.namespace | default .Release.Namespace }}
{{- end -}}

{{- define "fmesh.selector" -}}
app.kubernetes.io/name: function-mesh-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller-manager
{{- end -}}

{{- define "fmesh.labels" -}}
{{ include "fmesh.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* "true" if the operator looks after some namespaces only. */}}
{{- define "fmesh.namespaced" -}}
{{- if .Values.controllerManager.watchedNamespaces }}true{{ end -}}
{{- end -}}

{{/* Whether webhooks are served, and by whose certificate: "", "self", "cert-manager" or "custom". */}}
{{- define "fmesh.webhooks" -}}
{{- $webhook := index .Values "admission-webhook" }}
{{- if and .Values.admissionWebhook.enabled $webhook.enabled }}
{{- $provider := $webhook.certificate.provider }}
{{- if not (has $provider (list "self" "cert-manager" "custom")) }}
{{- fail (printf "admission-webhook.certificate.provider: found %q, expected self, cert-manager or custom" $provider) }}
{{- end }}
{{- if and (eq $provider "self") (include "fmesh.namespaced" .) }}
{{- fail "controllerManager.watchedNamespaces: an operator of some namespaces may not change the webhooks of the whole cluster; set admission-webhook.certificate.provider to custom or cert-manager, or admissionWebhook.enabled to false" }}
{{- end }}
{{- $provider }}
{{- end }}
{{- end -}}

{{- define "fmesh.imagePullSecrets" -}}
{{- range . }}
- name: {{ if kindIs "map" . }}{{ .name }}{{ else }}{{ . }}{{ end }}
{{- end }}
{{- end -}}

{{- define "fmesh.webhookSecret" -}}
{{ (index .Values "admission-webhook").certificate.secretName }}
{{- end -}}

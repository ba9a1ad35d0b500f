{{/* Names the release's objects: freshet, or RELEASE-freshet. */}}
{{- define "freshet.name" -}}
{{- if contains "freshet" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-freshet" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* By what the release's pods are found. */}}
{{- define "freshet.selector" -}}
app.kubernetes.io/name: freshet
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "freshet.labels" -}}
{{ include "freshet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* What the port speaks. */}}
{{- define "freshet.scheme" -}}
{{- if dig "http" "tls" "cert" "" .Values.config }}HTTPS{{ else }}HTTP{{ end -}}
{{- end -}}

{{/* freshet.yaml: what values say, with the folder, the port and the keys of the pod. */}}
{{- define "freshet.config" -}}
{{- $http := dict "listen" "0.0.0.0:6333" -}}
{{- if .Values.keys.secret -}}
{{- $http = merge $http (dict "api_key" "${file:/etc/freshet/keys/api-key}" "read_only_api_key" "${file:/etc/freshet/keys/read-only-api-key}") -}}
{{- end -}}
{{- $log := dict "format" "json" -}}
{{- toYaml (mergeOverwrite (dict "data" "/data" "http" $http "log" $log) (deepCopy .Values.config)) -}}
{{- end -}}

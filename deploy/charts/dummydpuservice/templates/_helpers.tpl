{{/* Labels that select this release's pods; they never change. */}}
{{- define "dummydpuservice.selectorLabels" -}}
app.kubernetes.io/name: dummydpuservice
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "dummydpuservice.labels" -}}
{{ include "dummydpuservice.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Resources of the container: a plain map is both request and limit, as extended resources need it. */}}
{{- define "dummydpuservice.resources" -}}
{{- $resources := .Values.serviceDaemonSet.resources | default dict -}}
{{- if or (hasKey $resources "limits") (hasKey $resources "requests") -}}
{{- toYaml $resources -}}
{{- else -}}
limits:
  {{- toYaml $resources | nindent 2 }}
requests:
  {{- toYaml $resources | nindent 2 }}
{{- end -}}
{{- end }}

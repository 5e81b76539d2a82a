{
  "type": "user",
  "keyId": {{ toJson .Token.email }},
{{- if has "admins" .Token.groups }}
  "principals": [{{ toJson .Token.preferred_username }}, {{ toJson .deploy }}],
{{- else }}
  {{- $principals := list }}
  {{- if has "deployers" .Token.groups }}{{ $principals = append $principals .deploy }}{{ end }}
  {{- range $group, $principal := .parts }}
  {{- if has $group $.Token.groups }}{{ $principals = append $principals $principal }}{{ end }}
  {{- end }}
  "principals": {{ toJson $principals }},
  "criticalOptions": { "source-address": {{ toJson .from }} },
{{- end }}
  "extensions": {
    "permit-pty": "",
    "permit-user-rc": ""
  }
}

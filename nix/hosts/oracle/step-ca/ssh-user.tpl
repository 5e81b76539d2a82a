{
  "type": "user",
  "keyId": {{ toJson .Token.email }},
{{- if has "admins" .Token.groups }}
  "principals": [{{ toJson .Token.preferred_username }}, {{ toJson .deploy }}],
{{- else }}
  "principals": [{{ toJson .deploy }}],
  "criticalOptions": { "source-address": {{ toJson .from }} },
{{- end }}
  "extensions": {
    "permit-pty": "",
    "permit-user-rc": ""
  }
}

{
  "type": "user",
  "keyId": {{ toJson .Token.email }},
  "principals": [{{ toJson .Token.preferred_username }}],
  "extensions": {
    "permit-pty": "",
    "permit-user-rc": ""
  }
}

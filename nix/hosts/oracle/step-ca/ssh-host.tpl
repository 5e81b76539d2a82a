{
  "type": "host",
  "keyId": {{ toJson .AuthorizationCrt.Subject.CommonName }},
  "principals": {{ toJson .AuthorizationCrt.DNSNames }}
}

# Web services as their users see them: through the gateway, certificate included.
d: {
  uid = "services";
  title = "Services";
  panels = [
    (d.table "Up" "none" ''probe_success{job=~"probe-web|probe-public"}'')
    (d.table "Certificates, time left" "s" "sort(probe_ssl_earliest_cert_expiry - time())")
    (d.graph "Time to answer" "s" [
      [
        ''sum by (service, job) (probe_http_duration_seconds{job=~"probe-web|probe-public"})''
        "{{service}} {{job}}"
      ]
    ])
    (d.graph "Availability, 24 hours" "percentunit" [
      [
        ''avg_over_time(probe_success{job="probe-web"}[24h])''
        "{{service}}"
      ]
    ])
    (d.graph "Round trip to machines" "s" [
      [
        ''probe_icmp_duration_seconds{job="probe-ping",phase="rtt"}''
        "{{host}}"
      ]
    ])
    (d.graph "Resolver" "s" [
      [
        ''probe_dns_duration_seconds{job="probe-dns",phase="request"}''
        "{{host}}"
      ]
    ])
  ];
}

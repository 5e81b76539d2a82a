# The watchers watched.
d: {
  uid = "observability";
  title = "Observability";
  panels = [
    (d.table "Targets that do not answer" "none" "up == 0")
    (d.graph "Samples taken in" "cps" [
      [
        "rate(prometheus_tsdb_head_samples_appended_total[5m])"
        "{{type}}"
      ]
    ])
    (d.graph "Log lines taken in" "cps" [
      [
        "sum(rate(loki_distributor_lines_received_total[5m]))"
        "lines"
      ]
    ])
    (d.graph "Spans taken in" "cps" [
      [
        "sum(rate(tempo_distributor_spans_received_total[5m]))"
        "spans"
      ]
    ])
    (d.graph "Collector: sent and refused" "cps" [
      [
        ''sum by (exporter) (rate({__name__=~"otelcol_exporter_sent_(log_records|spans|metric_points)(_total)?"}[5m]))''
        "{{exporter}} sent"
      ]
      [
        ''sum by (exporter) (rate({__name__=~"otelcol_exporter_send_failed_(log_records|spans|metric_points)(_total)?"}[5m]))''
        "{{exporter}} failed"
      ]
    ])
    (d.graph "Notifications" "none" [
      [
        "sum by (integration) (increase(alertmanager_notifications_total[1h]))"
        "{{integration}} sent"
      ]
      [
        "sum by (integration) (increase(alertmanager_notifications_failed_total[1h]))"
        "{{integration}} failed"
      ]
    ])
    (d.graph "Disk for samples, logs, traces" "percentunit" [
      [
        ''1 - node_filesystem_avail_bytes{host="monitoring"} / node_filesystem_size_bytes''
        "{{mountpoint}}"
      ]
    ])
  ];
}

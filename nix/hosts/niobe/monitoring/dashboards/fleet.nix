# The whole homelab on one page: what is down, what is full, what failed.
d: {
  uid = "fleet";
  title = "Fleet";
  columns = 4;
  height = 6;
  panels = [
    (d.number "Machines down" "none"
      ''count(probe_success{job="probe-ping",uptime="always"} == 0) or vector(0)''
      1
      2
    )
    (d.number "Alerts firing" "none"
      ''count(ALERTS{alertstate="firing",severity!="none"}) or vector(0)''
      1
      5
    )
    (d.number "Failed units" "none" ''sum(node_systemd_unit_state{state="failed"}) or vector(0)'' 1 3)
    (d.number "Oldest backup" "s" "max(time() - aether_backup_last_success_timestamp_seconds)" 108000
      172800
    )
    (d.graph "CPU" "percentunit" [
      [
        ''1 - avg by (host) (rate(node_cpu_seconds_total{mode="idle"}[5m]))''
        "{{host}}"
      ]
    ])
    (d.graph "Memory used" "percentunit" [
      [
        "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"
        "{{host}}"
      ]
    ])
    (d.graph "Fullest file system" "percentunit" [
      [
        ''max by (host) (1 - node_filesystem_avail_bytes{fstype=~"ext4|xfs|btrfs|zfs|vfat"} / node_filesystem_size_bytes)''
        "{{host}}"
      ]
    ])
    (d.graph "Network received" "Bps" [
      [
        ''sum by (host) (rate(node_network_receive_bytes_total{device!~"lo|veth.*|podman.*"}[5m]))''
        "{{host}}"
      ]
    ])
    (d.table "Alerts" "none" ''ALERTS{alertstate="firing"}'')
    (d.table "Age of backups" "s" "sort_desc(time() - aether_backup_last_success_timestamp_seconds)")
    (d.table "Units that failed" "none" ''node_systemd_unit_state{state="failed"} == 1'')
    (d.table "Running since" "s" "sort(time() - node_boot_time_seconds)")
  ];
}

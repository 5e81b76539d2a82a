# One host in depth.
d:
let
  on = ''host=~"$host"'';
in
{
  uid = "host";
  title = "Host";
  variables = [ (d.variable "host" "prometheus" "label_values(node_uname_info, host)") ];
  panels = [
    (d.graph "CPU by mode" "percentunit" [
      [
        ''sum by (host, mode) (rate(node_cpu_seconds_total{mode!="idle",${on}}[5m])) / on (host) group_left count by (host) (node_cpu_seconds_total{mode="idle",${on}})''
        "{{host}} {{mode}}"
      ]
    ])
    (d.graph "Load" "none" [
      [
        "node_load5{${on}}"
        "{{host}}"
      ]
    ])
    (d.graph "Memory" "bytes" [
      [
        "node_memory_MemTotal_bytes{${on}} - node_memory_MemAvailable_bytes{${on}}"
        "{{host}} used"
      ]
      [
        "node_memory_MemTotal_bytes{${on}}"
        "{{host}} total"
      ]
    ])
    (d.graph "Pressure: share of time that something waits" "percentunit" [
      [
        "rate(node_pressure_cpu_waiting_seconds_total{${on}}[5m])"
        "{{host}} cpu"
      ]
      [
        "rate(node_pressure_memory_waiting_seconds_total{${on}}[5m])"
        "{{host}} memory"
      ]
      [
        "rate(node_pressure_io_waiting_seconds_total{${on}}[5m])"
        "{{host}} io"
      ]
    ])
    (d.graph "File systems used" "percentunit" [
      [
        ''1 - node_filesystem_avail_bytes{fstype=~"ext4|xfs|btrfs|zfs|vfat",${on}} / node_filesystem_size_bytes''
        "{{host}} {{mountpoint}}"
      ]
    ])
    (d.graph "Disk busy" "percentunit" [
      [
        "rate(node_disk_io_time_seconds_total{${on}}[5m])"
        "{{host}} {{device}}"
      ]
    ])
    (d.graph "Network" "Bps" [
      [
        ''rate(node_network_receive_bytes_total{device!="lo",${on}}[5m])''
        "{{host}} {{device}} in"
      ]
      [
        ''-rate(node_network_transmit_bytes_total{device!="lo",${on}}[5m])''
        "{{host}} {{device}} out"
      ]
    ])
    (d.logs "Warnings and worse" ''{host_name=~"$host"} | severity_number >= 13'')
  ];
}

# Deployments of the stacks, and how far hosts are from what the repository says.
d: {
  uid = "deploys";
  title = "Deployments";
  panels = [
    (d.number "Last deployments that did not succeed" "none"
      "count(aether_deploy_succeeded == 0) or vector(0)"
      1
      2
    )
    (d.number "Hosts that drifted" "none" "sum(aether_machine_drifted) or vector(0)" 1 3)
    (d.number "Hosts that are behind" "none" "sum(aether_machine_behind) or vector(0)" 5 15)
    (d.number "Age of nixpkgs" "s" ''time() - aether_pin_timestamp_seconds{pin="nixpkgs"}'' 2592000
      3888000
    )
    (d.graph "Deployments in a week" "none" [
      [
        "sum by (stack, result) (increase(aether_deploys_total[7d]))"
        "{{stack}} {{result}}"
      ]
    ])
    (d.graph "Seconds of a deployment" "s" [
      [
        "aether_deploy_seconds"
        "{{stack}}"
      ]
    ])
    (d.table "Deployed, seconds ago" "s"
      "sort_desc(time() - aether_machine_deployed_timestamp_seconds)"
    )
    (d.table "Last good backup, seconds ago" "s"
      "sort_desc(time() - aether_machine_backup_timestamp_seconds)"
    )
    (d.table "Backup restored to try it, seconds ago" "s"
      "sort_desc(time() - aether_machine_restore_timestamp_seconds)"
    )
  ];
}

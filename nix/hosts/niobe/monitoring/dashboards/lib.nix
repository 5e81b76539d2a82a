# Grafana's dashboard model in as few words as the dashboards here need (schema 39).
{ lib }:
let
  source = type: {
    inherit type;
    uid = type;
  };

  query = type: text: legend: {
    datasource = source type;
    expr = text;
    legendFormat = legend;
  };

  # Panels of 24/columns width, row after row of the given height.
  place =
    columns: height: panels:
    lib.imap0 (
      index: panel:
      panel
      // {
        id = index + 1;
        gridPos = {
          h = height;
          w = panel.width or (24 / columns);
          x = if panel ? width then 0 else lib.mod index columns * (24 / columns);
          y = index / columns * height;
        };
      }
    ) panels;
in
rec {
  panel = type: title: unit: targets: {
    inherit type title;
    datasource = source "prometheus";
    targets = lib.imap0 (index: target: target // { refId = lib.elemAt lib.upperChars index; }) targets;
    fieldConfig = {
      defaults = { inherit unit; };
      overrides = [ ];
    };
  };

  # PromQL over time.
  graph =
    title: unit: pairs:
    panel "timeseries" title unit (
      map (pair: query "prometheus" (lib.head pair) (lib.last pair)) pairs
    );

  # One number, green until a threshold is reached.
  number =
    title: unit: expression: warn: critical:
    lib.recursiveUpdate
      (panel "stat" title unit [ (query "prometheus" expression "" // { instant = true; }) ])
      {
        fieldConfig.defaults.thresholds = {
          mode = "absolute";
          steps = [
            {
              color = "green";
              value = null;
            }
            {
              color = "orange";
              value = warn;
            }
            {
              color = "red";
              value = critical;
            }
          ];
        };
      };

  # Instant PromQL as rows.
  table =
    title: unit: expression:
    lib.recursiveUpdate
      (panel "table" title unit [
        (
          query "prometheus" expression ""
          // {
            instant = true;
            format = "table";
          }
        )
      ])
      {
        transformations = [
          {
            id = "organize";
            options.excludeByName = {
              Time = true;
              __name__ = true;
              job = true;
              instance = true;
            };
          }
        ];
      };

  # LogQL as lines.
  logs =
    title: expression:
    panel "logs" title "none" [ (query "loki" expression "") ]
    // {
      datasource = source "loki";
      options = {
        showTime = true;
        wrapLogMessage = true;
        enableLogDetails = true;
        sortOrder = "Descending";
      };
    };

  variable = name: type: text: {
    inherit name;
    type = "query";
    datasource = source type;
    query = text;
    refresh = 2;
    includeAll = true;
    multi = true;
    current = {
      text = "All";
      value = "$__all";
    };
  };

  dashboard =
    {
      uid,
      title,
      columns ? 2,
      height ? 8,
      variables ? [ ],
      panels,
    }:
    {
      inherit uid title;
      schemaVersion = 39;
      version = 1;
      editable = false;
      tags = [ "aether" ];
      time = {
        from = "now-6h";
        to = "now";
      };
      refresh = "1m";
      templating.list = variables;
      annotations.list = [ ];
      panels = place columns height panels;
    };
}

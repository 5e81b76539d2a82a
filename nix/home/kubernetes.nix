# The cluster: kubectl, k9s, Talos, and the homelab's own secrets and infrastructure tools.
{ pkgs, ... }:
{
  home.packages = with pkgs; [
    kubectl
    kubectx
    kubernetes-helm
    talosctl
    kustomize
    stern
    openbao
    opentofu
    pulumi-bin
  ];
  programs.k9s = {
    enable = true;
    settings.k9s = {
      liveViewAutoRefresh = true;
      ui.logoless = true;
    };
  };
}

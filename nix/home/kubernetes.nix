# Clusters: kubectl, k9s, Talos, small ones on the machine itself (k3d, kind, minikube), what asks a container runtime (crictl),
# and the homelab's own secrets and infrastructure tools.
{ pkgs, ... }:
{
  home.packages = with pkgs; [
    kubectl
    kubectx
    kubernetes-helm
    talosctl
    kustomize
    stern
    k3d
    kind
    minikube
    cri-tools
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

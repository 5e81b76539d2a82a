# Templates of Coder as code: what is in templates/ is pushed after each change, by an owner account whose password is
# a secret of this host; nobody edits templates in the browser.
{
  config,
  pkgs,
  aether,
  ...
}:
let
  service = aether.services.coder;
in
{
  aether.secrets.coder-admin-password = { };

  systemd.services.coder-templates = {
    description = "Push the templates of this repository to Coder";
    wantedBy = [ "multi-user.target" ];
    requires = [ "coder.service" ];
    after = [
      "coder.service"
      "coder-workspace-image.service"
    ];
    path = [
      pkgs.coder
      pkgs.curl
      pkgs.jq
    ];
    environment = {
      CODER_URL = "http://127.0.0.1:${toString service.port}";
      CODER_ADMIN_EMAIL = "coder@${aether.site.public_domain}";
      CODER_ADMIN_USERNAME = "coder";
      TEMPLATES = "${./templates}";
      WORKSPACE_IMAGE = config.aether.dev.workspaceImage;
      HOME = "/run/coder-templates";
    };
    script = builtins.readFile ./push-templates.sh;
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      DynamicUser = true;
      RuntimeDirectory = "coder-templates";
      LoadCredential = "admin-password:${config.sops.secrets.coder-admin-password.path}";
      Restart = "on-failure";
      RestartSec = 30;
      ProtectSystem = "strict";
      ProtectHome = true;
      NoNewPrivileges = true;
    };
  };
}

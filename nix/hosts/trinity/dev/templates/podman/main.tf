# A workspace: one container of Podman without root, with a home that stays when the container goes.
terraform {
  required_providers {
    coder = {
      source  = "coder/coder"
      version = "~> 2.13"
    }
    docker = {
      source  = "kreuzwerker/docker"
      version = "~> 3.6"
    }
  }
}

variable "image" {
  description = "Image of the workspace, with the hash of its contents as tag; set when the template is pushed."
  type        = string
}

# The socket is in DOCKER_HOST of the Coder service.
provider "docker" {}

data "coder_provisioner" "me" {}
data "coder_workspace" "me" {}
data "coder_workspace_owner" "me" {}

data "coder_parameter" "memory" {
  name         = "memory"
  display_name = "Memory"
  description  = "MiB that the workspace may use"
  type         = "number"
  default      = 4096
  mutable      = true
  validation {
    min = 1024
    max = 8192
  }
}

resource "coder_agent" "main" {
  os   = data.coder_provisioner.me.os
  arch = data.coder_provisioner.me.arch
  env = {
    GIT_AUTHOR_NAME     = data.coder_workspace_owner.me.full_name
    GIT_AUTHOR_EMAIL    = data.coder_workspace_owner.me.email
    GIT_COMMITTER_NAME  = data.coder_workspace_owner.me.full_name
    GIT_COMMITTER_EMAIL = data.coder_workspace_owner.me.email
  }
  metadata {
    display_name = "CPU"
    key          = "cpu"
    script       = "coder stat cpu"
    interval     = 15
    timeout      = 5
  }
  metadata {
    display_name = "Memory"
    key          = "memory"
    script       = "coder stat mem"
    interval     = 15
    timeout      = 5
  }
}

resource "docker_volume" "home" {
  name = "coder-${data.coder_workspace.me.id}-home"
  lifecycle {
    # A change of the template never takes somebody's files away.
    ignore_changes = all
  }
}

resource "docker_container" "workspace" {
  count    = data.coder_workspace.me.start_count
  name     = "coder-${data.coder_workspace_owner.me.name}-${lower(data.coder_workspace.me.name)}"
  hostname = data.coder_workspace.me.name
  image    = var.image
  memory   = data.coder_parameter.memory.value

  entrypoint = ["/bin/bash", "-c", coder_agent.main.init_script]
  env        = ["CODER_AGENT_TOKEN=${coder_agent.main.token}"]

  networks_advanced {
    name = "workspaces"
  }
  volumes {
    volume_name    = docker_volume.home.name
    container_path = "/home/coder"
  }
  labels {
    label = "coder.workspace"
    value = data.coder_workspace.me.id
  }
}

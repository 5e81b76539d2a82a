# shellcheck shell=sh
# For a shell of an operator's, in the folder of Pulumi.yaml:  . ops/env.sh
# aether, python, pulumi, sops and age are then the project's, with the plugins and the login that `make` uses.
if [ ! -x "$PWD/.venv/bin/python" ] || [ ! -d "$PWD/.aether/engine/bin" ]; then
  echo "Nothing to use in $PWD yet. Fix: make setup, in the folder of Pulumi.yaml" >&2
else
  PATH="$PWD/.aether/engine/bin:$PWD/.venv/bin:$PWD:$PATH"
  export PATH PULUMI_SKIP_UPDATE_CHECK=true
  if [ -d "$PWD/.aether/pulumi-home" ]; then
    export PULUMI_HOME="$PWD/.aether/pulumi-home" PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true
  fi
  # TAB: commands, stacks and hosts.
  if [ -n "${BASH_VERSION:-}" ]; then
    eval "$("$PWD/.venv/bin/register-python-argcomplete" --shell bash aether ./aether)"
  elif [ -n "${ZSH_VERSION:-}" ]; then
    autoload -Uz compinit && compinit -C
    eval "$("$PWD/.venv/bin/register-python-argcomplete" --shell zsh aether ./aether)"
  fi
fi

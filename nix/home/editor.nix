# The editor: Neovim with the language servers of what is written here.
{ pkgs, ... }:
{
  programs.neovim = {
    enable = true;
    defaultEditor = true;
    viAlias = true;
    vimAlias = true;
    withRuby = false;
    withPython3 = false;
    plugins = with pkgs.vimPlugins; [
      nvim-lspconfig
      nvim-treesitter.withAllGrammars
      telescope-nvim
      gitsigns-nvim
      which-key-nvim
    ];
    extraPackages = with pkgs; [
      nixd
      gopls
      basedpyright
      ansible-lint
      terraform-ls
      yaml-language-server
    ];
    initLua = builtins.readFile ./editor.lua;
  };
  programs.helix.enable = true;
}

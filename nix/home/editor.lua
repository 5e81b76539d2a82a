-- Few settings: what every machine has.
vim.opt.number = true
vim.opt.expandtab = true
vim.opt.shiftwidth = 2
vim.opt.ignorecase = true
vim.opt.smartcase = true
vim.opt.undofile = true
vim.opt.clipboard = "unnamedplus"
vim.g.mapleader = " "

for _, server in ipairs({ "nixd", "gopls", "basedpyright", "yamlls" }) do
  vim.lsp.enable(server)
end

local telescope = require("telescope.builtin")
vim.keymap.set("n", "<leader>f", telescope.find_files)
vim.keymap.set("n", "<leader>g", telescope.live_grep)
vim.keymap.set("n", "<leader>b", telescope.buffers)
require("gitsigns").setup()

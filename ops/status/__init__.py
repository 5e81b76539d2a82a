"""How the fleet is: asked, and shown as a table, for programs, and as a page."""

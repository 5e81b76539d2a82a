"""Gets the Pulumi engine, its plugins and the tools around it: released ones, or built from pinned Go modules.

Standard library only: it runs before the project's environment exists.
"""

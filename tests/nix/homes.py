"""What is asked of a host's home environment."""

# What Home Manager makes of a home: names of packages and of files.
HOME = "c: { packages = map (p: p.pname or p.name) c.home.packages; files = builtins.attrNames c.home.file; }"

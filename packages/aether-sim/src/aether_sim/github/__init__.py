"""GitHub as far as the real provider asks for it: REST on loopback, repositories as bare git repositories."""

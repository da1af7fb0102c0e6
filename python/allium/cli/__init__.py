"""The `allium` command: a module for each command group, which exports `app`; `main` puts them together."""

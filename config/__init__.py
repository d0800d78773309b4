"""The shipped settings, importable as ``handful_config``: an installed handful finds them."""

"""The shipped settings, importable as ``handful_config`` so that an installed handful finds them."""

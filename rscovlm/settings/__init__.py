"""Settings in files: YAML read safely, checked against dataclasses, with the nearest name for a mistyped one."""

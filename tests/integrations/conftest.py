"""Tests of distilmos_plugin.integrations."""

collect_ignore = ["stand_in"]  # it becomes importable only where VERSA is not installed

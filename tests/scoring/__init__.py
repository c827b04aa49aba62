"""Tests of distilmos_plugin.scoring."""

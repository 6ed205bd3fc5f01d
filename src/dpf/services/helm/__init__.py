"""Helm repositories: reading what a chart says about itself, within limits, and where its repository is mirrored."""

"""Our own certificates: the CA, what BMCs and DMS pods show, and what we show to them (docs/adr/0014)."""

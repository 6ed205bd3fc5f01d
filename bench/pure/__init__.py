"""How fast the small pure parsers are."""

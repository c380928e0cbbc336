"""Tables and what their columns are: dictionaries, sources, checked tables."""

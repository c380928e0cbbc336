"""Recipe ``statistics``: private sums over cells of public categories, within one kind of institution or across two."""

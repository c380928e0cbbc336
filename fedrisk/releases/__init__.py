"""What leaves an institution, as data: blocks, releases, plans, prices, and the record of what was released."""

"""A data dictionary drafted from a table, for a person to confirm.

``names`` is what names of columns say; ``look`` reads a table as texts; ``columns`` proposes what each column is;
``roles`` finds ids, the label and the date; ``draft`` puts it together; ``write`` writes it as commented TOML.

Everything here runs on the owner's machine, on the owner's table, and nothing of it is sent. But a dictionary is public
later, so a draft names no value that fewer than `look.RARE` rows have, gives bounds in round numbers around robust
quantiles and never a smallest or largest value, and marks every such choice for a person to confirm: rounded or not, a
bound that follows from the data is a release without a price (Dwork & Roth 2014, section 3).
"""

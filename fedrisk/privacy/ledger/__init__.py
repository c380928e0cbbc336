"""The privacy ledger: an institution's durable account of what it spent."""

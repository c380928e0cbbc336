"""What hub and institutions say to each other: payloads, and the actions that a hub can ask for."""

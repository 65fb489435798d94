"""Where messages come from: each file makes one kind of place fit `ports.Source`."""

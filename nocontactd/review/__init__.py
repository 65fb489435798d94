"""Reading sealed messages with two people. Whatever a sender wrote is text here: never markup, never a command."""

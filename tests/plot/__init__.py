"""Pictures: what they show, and what they refuse."""

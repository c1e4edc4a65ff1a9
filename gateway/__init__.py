"""The HTTP gateway's package: its place in the layout and the import rules; it has no code yet."""

"""One module a family of commands; each has a `register` that adds them to the app."""

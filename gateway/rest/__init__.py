"""The REST interface: everything below `/api/v1`."""

"""The HTTP gateway: REST, live events, aria2's JSON-RPC and the page, over nothing but NATS."""

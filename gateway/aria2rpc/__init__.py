"""The whole cluster as one aria2: JSON-RPC by POST, GET and WebSocket, and XML-RPC."""

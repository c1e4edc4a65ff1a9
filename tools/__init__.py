"""The command line: the processes, and what people do with the cluster."""

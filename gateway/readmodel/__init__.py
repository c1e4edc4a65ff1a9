"""What the gateway answers from: every live task and the latest outcomes, kept from TASKS and EVENTS."""

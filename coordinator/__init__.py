"""Claims requests, places tasks, follows what nodes report, finishes. One leads, the others stand by."""

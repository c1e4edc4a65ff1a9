"""`downdraft drill`: a storm of faults on a cluster of its own, and the books that must balance after it."""

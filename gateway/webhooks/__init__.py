"""Events sent to whoever asked for them: kept in the bucket, delivered by one replica at a time."""

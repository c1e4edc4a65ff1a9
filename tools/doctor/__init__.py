"""`downdraft doctor`: `look_at_…` find out (I/O), `judge_…` say what is wrong and what to do (pure), `report` tells."""

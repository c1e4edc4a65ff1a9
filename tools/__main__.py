"""`python -m tools` is `downdraft`: how the supervisor starts its children."""

from tools.cli import main

main()

from tests.sim.cli import main

main()

"""A real engine, an image built once, and deployments of it."""

from collections.abc import Iterator

import pytest

from tests.compose.deployment import Deployment
from tests.compose.engine import Engine, NoEngine, running_engine
from tests.conftest import required


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A Docker engine on which the image is built."""
    try:
        with running_engine() as running:
            Deployment(running, tmp_path_factory.mktemp("build")).compose("build")
            yield running
    except NoEngine as error:
        if required("compose"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def deployed(
    engine: Engine, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """The cluster, up and healthy, with the profiles that the file names as PROFILES."""
    profiles = getattr(request.module, "PROFILES", ())
    deployment = Deployment(engine, tmp_path_factory.mktemp("compose"), *profiles)
    try:
        deployment.up()
        deployment.until_online(2)
        yield deployment
    finally:
        deployment.down("--volumes")

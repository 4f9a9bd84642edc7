from dataclasses import replace
from pathlib import Path

import pytest

from services.asr.config import AsrSettings
from services.cli.deployment import PORTS_NEEDED, Site, models_needed, settings_for, with_ports
from services.cli.profiles import PROFILES, ProfileName
from services.diarize.config import DiarizeSettings
from services.edge.config import EdgeSettings
from services.models.catalogue import load_catalogue
from services.runtime.settings import unknown_variables
from services.summarize.config import SummarizeSettings

SITE = Site("127.0.0.1", 8080, Path("/data"), Path("/models"))


@pytest.mark.parametrize("name", list(ProfileName))
def test_the_catalogue_and_the_services_agree_on_what_a_profile_needs(name: ProfileName) -> None:
    settings = settings_for(SITE, PROFILES[name], {})
    assert set(models_needed(settings)) == {model.id for model in load_catalogue().profile(name.value)}


@pytest.mark.parametrize("service", [AsrSettings, DiarizeSettings, SummarizeSettings, EdgeSettings])
@pytest.mark.parametrize("name", list(ProfileName))
def test_the_services_understand_all_that_they_are_told(
    name: ProfileName, service: type, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site = replace(SITE, data=tmp_path)
    site.key_file.write_text("sk-key\n")
    chosen = settings_for(site, PROFILES[name], {})
    settings = with_ports(site, chosen, range(1, PORTS_NEEDED + 1))
    assert unknown_variables(service, settings) == []
    for variable, value in settings.items():
        monkeypatch.setenv(variable, value)
    assert service().metrics_listen.startswith("127.0.0.1:")

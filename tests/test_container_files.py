"""The container files keep their promises, as far as reading them can tell."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import Settings

PROJECT = Path(__file__).parent.parent


@pytest.fixture
def dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile as (word, rest), continued lines joined."""
    text = re.sub(r"\\\n", " ", (PROJECT / "Dockerfile").read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, " ".join(rest.split())) for word, _, rest in (line.partition(" ") for line in lines)]


@pytest.fixture
def services() -> dict[str, Any]:
    """The services of docker-compose.yml."""
    loaded: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["services"]
    return loaded


def test_container_does_not_run_as_root(dockerfile: list[tuple[str, str]]) -> None:
    """The last word on the user is an unprivileged one, made with a fixed number."""
    users = [rest for word, rest in dockerfile if word == "USER"]
    assert users[-1] == "10001:10001"
    assert any("useradd --uid 10001" in rest for word, rest in dockerfile if word == "RUN")


def test_packages_are_installed_by_hash(dockerfile: list[tuple[str, str]]) -> None:
    """Nothing comes into the image that the lock does not name."""
    installs = [rest for word, rest in dockerfile if word == "RUN" and "install" in rest and "pip" in rest]
    assert installs
    assert all("--require-hashes" in rest for rest in installs)


def test_images_are_of_a_named_version(dockerfile: list[tuple[str, str]], services: dict[str, Any]) -> None:
    """No image without a tag and none called latest."""
    images = [rest.split()[0] for word, rest in dockerfile if word == "FROM"]
    images += [service["image"] for service in services.values() if "image" in service]
    assert len(images) == 4
    assert all(re.search(r":\d", image) for image in images)


def test_everything_copied_exists_and_is_let_through(dockerfile: list[tuple[str, str]]) -> None:
    """A room that is renamed or added must be renamed or added in the image too."""
    copied = [rest.split()[0] for word, rest in dockerfile if word == "COPY" and not rest.startswith("--from")]
    allowed = {line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied) == allowed
    assert all((PROJECT / name).exists() for name in copied)
    rooms = {path.parent.name for path in PROJECT.glob("*/__init__.py")} - {"tests", "bench", "tools"}
    assert rooms <= allowed


def test_health_is_watched(dockerfile: list[tuple[str, str]], services: dict[str, Any]) -> None:
    """The image asks /healthz, PostgreSQL is asked by its own tool, and the app waits for it."""
    assert any(word == "HEALTHCHECK" and "/healthz" in rest for word, rest in dockerfile)
    assert "pg_isready" in services["postgres"]["healthcheck"]["test"][-1]
    assert services["app"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_data_lies_in_volumes(services: dict[str, Any]) -> None:
    """Every service keeps what it keeps in named volumes; what else it is given are files of ours that it cannot write."""
    declared = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["volumes"]
    for service in services.values():
        for volume in service["volumes"]:
            source = re.sub(r"^\$\{\w+:-(\w+)\}", r"\1", volume).partition(":")[0]
            assert source in declared or (volume.endswith(":ro") and (PROJECT / source).is_file())
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql/data"]


def test_strangers_are_kept_out_by_default(services: dict[str, Any]) -> None:
    """nginx is published, on loopback only; the app and the database are not."""
    assert services["nginx"]["ports"] == ["${PUBLISH_ADDRESS:-127.0.0.1}:${PUBLISH_PORT:-8050}:8443"]
    assert [name for name, service in services.items() if "ports" in service] == ["nginx"]


def test_s12_the_app_believes_the_one_proxy_that_stands_in_front(services: dict[str, Any]) -> None:
    """And nginx writes the address anew instead of adding to what a client claims."""
    assert services["app"]["environment"]["VOLTLEDGER_PROXIES"] == 1
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in (PROJECT / "deploy" / "nginx.conf").read_text()


def test_s16_who_is_let_in_is_decided_by_the_address_that_is_published(services: dict[str, Any]) -> None:
    """The app refuses to start by the very address under which others reach it, and no password has a default."""
    published = "${PUBLISH_ADDRESS:-127.0.0.1}"
    assert services["app"]["environment"]["VOLTLEDGER_PUBLISHED_ON"] == published
    assert all(port.startswith(published) for service in services.values() for port in service.get("ports", []))
    text = (PROJECT / "docker-compose.yml").read_text()
    assert not re.search(r"\$\{[A-Z_]*PASSWORD(?!:\?)", text)


def test_s16_the_first_administrator_comes_from_the_env_file_and_not_from_a_default(services: dict[str, Any]) -> None:
    """`.env` is handed to the app whole, and nothing beside it says who logs in."""
    assert [one["path"] for one in services["app"]["env_file"]] == [".env"]
    ours = {
        "VOLTLEDGER_REQUIRE_LOGIN",
        "VOLTLEDGER_REQUIRE_KEYS",
        "VOLTLEDGER_ADMIN_EMAIL",
        "VOLTLEDGER_ADMIN_PASSWORD",
        "VOLTLEDGER_FIRST_KEY",
    }
    assert not ours & services["app"]["environment"].keys()
    assert all(name in (PROJECT / ".env.example").read_text() for name in ours)


def settings_in(text: str) -> dict[str, str]:
    """Every NAME=value, commented out or not."""
    return dict(re.findall(r"^#? ?((?:VOLTLEDGER_|DATABASE_|INSECURE_|CERTIFICATES|POSTGRES_|PUBLISH_)\w*)=(.*)$", text, re.MULTILINE))


def test_example_names_real_settings_with_their_defaults() -> None:
    """Nobody copies a name from .env.example that does nothing, or takes a wrong value for the default."""
    example = settings_in((PROJECT / ".env.example").read_text())
    ours = {name.removeprefix("VOLTLEDGER_").lower(): value for name, value in example.items() if name.startswith("VOLTLEDGER_")}
    assert ours
    assert ours.keys() <= Settings.model_fields.keys()
    defaults = Settings.model_construct()
    shown = Settings.model_validate(ours)
    assert {name: getattr(shown, name) for name in ours} == {name: getattr(defaults, name) for name in ours}


def test_containers_are_given_real_settings(dockerfile: list[tuple[str, str]], services: dict[str, Any]) -> None:
    """The names that Dockerfile and docker-compose.yml set are settings too, and every other name they use is in .env.example."""
    environment = " ".join(rest for word, rest in dockerfile if word == "ENV")
    names = re.findall(r"\b(VOLTLEDGER_\w+)", environment) + [
        name for name in services["app"]["environment"] if name.startswith("VOLTLEDGER_")
    ]
    assert {name.removeprefix("VOLTLEDGER_").lower() for name in names} <= Settings.model_fields.keys()
    used = set(re.findall(r"\$\{(\w+)", (PROJECT / "docker-compose.yml").read_text()))
    assert used <= settings_in((PROJECT / ".env.example").read_text()).keys()

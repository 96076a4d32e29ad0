from django.apps import AppConfig


class OversightConfig(AppConfig):
    """The wiring: settings, urls, commands; it has no tables of its own."""

    name = "oversight"

from django.apps import AppConfig


class TenancyConfig(AppConfig):
    name = "oversight.tenancy"
    label = "tenancy"
